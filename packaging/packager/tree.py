"""The files of an installed package: what deb, rpm and Arch have in common.

    /usr/bin/clinvk                      the command
    /usr/lib/clinvk/pyvenv.cfg           makes of the next one a virtual environment
    /usr/lib/clinvk/bin/python3          a link to the Python of the distribution
    /usr/lib/clinvk/lib/python3.13/...   one folder per version, with only a .pth file
    /usr/lib/clinvk/site-packages        clinvk and all it needs, for all these versions

Compiled modules have the version in their names, so those of several versions stand side by side
and share all the rest.  The agents that come with clinvk are run as `sys.executable -m ...` in an
environment made from nothing; as sys.executable is the Python of the virtual environment, they find
their modules, and go on doing so when the distribution moves to its next Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from . import ROOT

PRIVATE = PurePosixPath("usr/lib/clinvk")
SITE_PACKAGES = PRIVATE / "site-packages"
EXTRA = "/usr/local/lib/clinvk"
"""Where an administrator puts packages that clinvk can use and does not bring."""

_COMMAND = """\
#!/usr/lib/clinvk/bin/python3 -I
from clinvkd.cli import main

main(prog_name="clinvk")
"""

_CONFIGURATION = "home = /usr/bin\ninclude-system-site-packages = false\n"

_NOT_NEEDED = (".c", ".h", ".pxd", ".pxi", ".pyi", ".pyx")
"""Endings of files that only who compiles or checks types reads."""
_NO_FOLDERS = ("testing", "tests", "sboms")
_NO_METADATA = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json")
"""What pip would need to change an installation that is not pip's."""

_UNITS = {
    "system/clinvk.service": "usr/lib/systemd/system/clinvk.service",
    "system/clinvk.socket": "usr/lib/systemd/system/clinvk.socket",
    "system/clinvk@.service": "usr/lib/systemd/system/clinvk@.service",
    "user/clinvk.service": "usr/lib/systemd/user/clinvk.service",
    "user/clinvk.socket": "usr/lib/systemd/user/clinvk.socket",
    "clinvk.sysusers.conf": "usr/lib/sysusers.d/clinvk.conf",
    "clinvk.tmpfiles.conf": "usr/lib/tmpfiles.d/clinvk.conf",
}
_ZSH = "usr/share/zsh/site-functions"
CONFIGURATION_FILES = ("etc/clinvk/config.yaml", "etc/default/clinvk")
"""What an administrator may change and a package must not overwrite."""


class Unfit(Exception):
    """What was found cannot be packaged; the message says what and why."""


def write_tree(
    destination: Path,
    wheels: Iterable[Path],
    pythons: Sequence[str],
    *,
    strip: str | None,
    zsh: str = _ZSH,
) -> None:
    """Write all files of the package below a folder.

    Args:
        destination: the folder, standing for ``/``.
        wheels: clinvk's own and those of all it needs, for all of `pythons`.
        pythons: versions of Python it is to run with.
        strip: the program that takes symbols out of compiled modules; None leaves them in.
        zsh: where zsh looks for completions, which differs between distributions.

    Raises:
        Unfit: two wheels have different files of the same name.
        subprocess.CalledProcessError: `strip` failed.
    """
    site_packages = destination / SITE_PACKAGES
    for wheel in wheels:
        unpack(wheel, site_packages)
    if strip is not None:
        modules = sorted(site_packages.rglob("*.so"))
        subprocess.run([strip, "--strip-unneeded", *modules], check=True)
    _write_interpreter(destination, pythons)
    _write(destination / "usr/bin/clinvk", _COMMAND, 0o755)
    for unit, place in _UNITS.items():
        _copy(ROOT / "systemd" / unit, destination / place)
    for name in CONFIGURATION_FILES:
        _copy(ROOT / "packaging" / name, destination / name)
    share = ROOT / "packaging" / "share"
    for source in (path for path in sorted(share.rglob("*")) if path.is_file()):
        folder = f"usr/share/{source.parent.relative_to(share)}"
        _copy(source, destination / (zsh if folder == _ZSH else folder) / source.name)
    for walked, _, _ in os.walk(destination):
        Path(walked).chmod(0o755)


def unpack(wheel: Path, site_packages: Path) -> None:
    """Unpack a wheel without what running it does not need.

    Raises:
        Unfit: it has another content for a file that is there already, or files for elsewhere.
    """
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            path = PurePosixPath(entry.filename)
            if entry.is_dir() or not _needed(path):
                continue
            if path.is_absolute() or ".." in path.parts:
                raise Unfit(f"{wheel.name}: {path} leaves its folder")
            target = site_packages / path
            content = archive.read(entry)
            # The tags of a wheel differ between the versions of Python, and nobody reads them.
            if target.exists() and path.name != "WHEEL" and target.read_bytes() != content:
                raise Unfit(f"{wheel.name}: {path} differs from that of another wheel")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(0o644)


def _needed(path: PurePosixPath) -> bool:
    top, *inner = path.parts
    if top.endswith(".data"):
        # Data and scripts are for elsewhere; clinvk's own are written by `write_tree`.
        if inner[0] in ("purelib", "platlib"):
            raise Unfit(f"{path}: modules in the data of a wheel are not unpacked")
        return False
    if top.endswith(".dist-info") and path.name in _NO_METADATA:
        return False
    return path.suffix not in _NOT_NEEDED and not any(part in _NO_FOLDERS for part in inner[:-1])


def _write_interpreter(destination: Path, pythons: Sequence[str]) -> None:
    private = destination / PRIVATE
    _write(private / "pyvenv.cfg", _CONFIGURATION)
    (private / "bin").mkdir()
    (private / "bin/python3").symlink_to("../../../bin/python3")
    for python in pythons:
        lines = f"../../../site-packages\n{EXTRA}/python{python}\n"
        _write(private / f"lib/python{python}/site-packages/clinvk.pth", lines)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o644)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
