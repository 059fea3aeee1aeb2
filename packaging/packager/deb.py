"""The `.deb`, made with `dpkg-deb` alone: the same tree gives the same bytes."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from . import ROOT, licences
from .tree import CONFIGURATION_FILES, SITE_PACKAGES, Unfit, write_tree
from .wheels import PYTHONS, locked_wheels, own_wheel

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Architectures of Debian by what the kernel calls them."""
MAINTAINER = "The clinvk authors <authors@clinvk.invalid>"
RECIPE = ROOT / "packaging" / "deb"
_SCRIPTS = ("postinst", "postrm", "prerm")
_DESCRIPTION = """\
HTTP APIs for AI command-line agents
 clinvk is a daemon on this machine that turns installed AI command-line
 programs (claude, codex, gemini, and every agent that speaks the Agent
 Client Protocol) into HTTP APIs, from a pool of warm processes: its own, and
 those of OpenAI and Anthropic.
 .
 The programs themselves are not part of it. It runs as a service of the
 machine (systemctl start clinvk), of a user (systemctl --user start clinvk),
 or in the foreground (clinvk serve); none of them starts by itself."""


def build_deb(
    destination: Path, version: str, architecture: str, epoch: int, pythons: Sequence[str] = PYTHONS
) -> Path:
    """Build the package; the path of the file.

    Args:
        destination: the folder for it.
        version: of clinvk.
        architecture: as Debian calls it; with its binutils it need not be this machine's.
        epoch: seconds since 1970 that every file is dated.
        pythons: versions of Python it is to run with, in order.

    Raises:
        Unfit: this machine cannot build it, or what was to be packaged is not fit for it.
        subprocess.CalledProcessError: a program that was run failed; it has said why.
    """
    machine = MACHINES[architecture]
    for program in ("dpkg-deb", strip := _strip(architecture)):
        if shutil.which(program) is None:
            raise Unfit(f"{program} is missing (dpkg, binutils)")
    wheels = locked_wheels(machine, pythons)
    destination.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".deb-", dir=destination) as scratch:
        tree = Path(scratch, "tree")
        own = own_wheel(Path(scratch, "wheel"), epoch)
        zsh = "usr/share/zsh/vendor-completions"
        write_tree(tree, [own, *wheels], pythons, strip=strip, zsh=zsh)
        _write_documents(tree, version, epoch)
        _write_control(tree, version, architecture, wheels, pythons)
        for path in (tree, *tree.rglob("*")):
            os.utime(path, (epoch, epoch), follow_symlinks=False)
        built = Path(scratch, f"clinvk_{version}_{architecture}.deb")
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-Zxz", "-z6", "--build", tree, built],
            # Several threads compress in blocks whose size depends on their number.
            env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "DPKG_DEB_THREADS_MAX": "1"},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return built.replace(destination / built.name)


def _strip(architecture: str) -> str:
    """The `strip` that knows the binaries of an architecture."""
    machine = MACHINES[architecture]
    return "strip" if machine == os.uname().machine else f"{machine}-linux-gnu-strip"


def _write_documents(tree: Path, version: str, epoch: int) -> None:
    """What Debian wants beside the program: changelog, licences, compressed manual pages."""
    documents = tree / "usr/share/doc/clinvk"
    documents.mkdir(parents=True)
    when = format_datetime(datetime.fromtimestamp(epoch, UTC))
    entry = (
        f"  * Version {version}; what is new stands in NEWS.md.gz.\n\n -- {MAINTAINER}  {when}\n"
    )
    _compress(documents / "changelog.gz", f"clinvk ({version}) stable; urgency=medium\n\n{entry}")
    _compress(documents / "NEWS.md.gz", (ROOT / "CHANGELOG.md").read_text("utf-8"))
    own = (ROOT / "LICENSE").read_text("utf-8")
    text = licences.copyright_file(own, tree / SITE_PACKAGES, f"{SITE_PACKAGES}")
    (documents / "copyright").write_text(text, "utf-8")
    overrides = tree / "usr/share/lintian/overrides/clinvk"
    overrides.parent.mkdir(parents=True)
    shutil.copyfile(RECIPE / "lintian-overrides", overrides)
    for page in sorted((tree / "usr/share/man").rglob("*.1")):
        _compress(page.with_suffix(".1.gz"), page.read_text("utf-8"))
        page.unlink()
    for folder, names, files in os.walk(tree):
        for name in names:
            Path(folder, name).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink() and path.stat().st_mode & 0o111 == 0:
                path.chmod(0o644)


def _compress(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _write_control(
    tree: Path, version: str, architecture: str, wheels: Iterable[Path], pythons: Sequence[str]
) -> None:
    folder = tree / "DEBIAN"
    folder.mkdir()
    files = sorted(path for path in _files(tree) if not path.is_symlink())
    sums = "".join(
        f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n"  # noqa: S324
        for path in files
        if str(path.relative_to(tree)) not in CONFIGURATION_FILES
    )
    oldest, newest = pythons[0], pythons[-1]
    major, minor = newest.split(".")
    depends = [
        f"python3 (>= {oldest}~)",
        f"python3 (<< {major}.{int(minor) + 1}~)",
        f"libc6 (>= {_glibc(wheels)})",
        "libgcc-s1",
        "libstdc++6",
        "passwd",
    ]
    control = {
        "Package": "clinvk",
        "Version": version,
        "Architecture": architecture,
        "Maintainer": MAINTAINER,
        "Installed-Size": str(_installed_kib(tree)),
        "Depends": ", ".join(depends),
        "Suggests": "bubblewrap, gnupg, nodejs, npm",
        "Section": "net",
        "Priority": "optional",
        "Description": _DESCRIPTION,
    }
    text = "".join(f"{name}: {value}\n" for name, value in control.items())
    (folder / "control").write_text(text, "utf-8")
    (folder / "md5sums").write_text(sums, "utf-8")
    (folder / "conffiles").write_text("".join(f"/{name}\n" for name in CONFIGURATION_FILES))
    shutil.copyfile(RECIPE / "triggers", folder / "triggers")
    for name in _SCRIPTS:
        shutil.copyfile(RECIPE / name, folder / name)
        (folder / name).chmod(0o755)
    folder.chmod(0o755)
    for name in ("control", "md5sums", "conffiles", "triggers"):
        (folder / name).chmod(0o644)


def _files(tree: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(tree):
        if Path(folder).name != "DEBIAN":
            yield from (Path(folder, name) for name in names)


def _installed_kib(tree: Path) -> int:
    """The size as Debian counts it: files in whole KiB, and one for everything else."""
    files = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
    others = sum(1 for path in tree.rglob("*")) - len(files)
    return others + sum(-(-path.stat().st_size // 1024) for path in files)


def _glibc(wheels: Iterable[Path]) -> str:
    """The oldest glibc that all wheels run with: each names the versions it was made for."""
    wanted = [
        min(int(minor) for minor in minors)
        for wheel in wheels
        if (minors := re.findall(r"manylinux_2_(\d+)", wheel.name))
    ]
    return f"2.{max([17, *wanted])}"  # manylinux2014, the other name, is 2.17
