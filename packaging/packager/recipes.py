"""The packages that other tools build: rpm, Homebrew's formula, Arch's PKGBUILD, the image."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from . import ROOT
from .tree import Unfit
from .wheels import LOCK, PYTHONS, locked

FORMULA_PYTHON = "3.13"
"""The Python that Homebrew's formula is built with."""


def build_rpm(destination: Path, version: str, sdist: Path, epoch: int) -> Path:
    """Build the rpm for this machine with `rpmbuild`; the path of the file.

    Raises:
        Unfit: there is no `rpmbuild` here.
        subprocess.CalledProcessError: it failed; it has said why.
    """
    if shutil.which("rpmbuild") is None:
        raise Unfit("rpmbuild is missing (the package is called rpm or rpm-build)")
    major, minor = PYTHONS[-1].split(".")
    values = {
        "VERSION": version,
        "OLDEST": PYTHONS[0],
        "TOO_NEW": f"{major}.{int(minor) + 1}",
    }
    with tempfile.TemporaryDirectory(prefix=".rpm-", dir=destination) as scratch:
        spec = Path(scratch, "clinvk.spec")
        spec.write_text(_filled("rpm/clinvk.spec.in", values), "utf-8")
        macros = {
            "_topdir": scratch,
            "_sourcedir": str(sdist.parent),
            "packager_python": f"{sys.executable} -P",
            "_buildhost": "localhost",
            "use_source_date_epoch_as_buildtime": "1",
            "clamp_mtime_to_source_date_epoch": "1",
        }
        defined = [word for macro in macros.items() for word in ("--define", " ".join(macro))]
        subprocess.run(
            ["rpmbuild", "-bb", "--quiet", *defined, str(spec)],
            env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)},
            check=True,
        )
        (built,) = Path(scratch, "RPMS").rglob("*.rpm")
        return built.replace(destination / built.name)


def write_formula(destination: Path, version: str, sdist: Path, address: str | None) -> Path:
    """Write Homebrew's formula; its resources are the source archives of the lock file.

    Args:
        destination: the folder for it.
        version: of clinvk.
        sdist: the source archive of clinvk.
        address: where that archive can be downloaded; None takes it from where it is now.

    Raises:
        Unfit: there is no `uv` here, which asks the package index for addresses.
        subprocess.CalledProcessError: uv failed; it has said why.
    """
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        raise Unfit("uv is missing (pip install uv)")
    with tempfile.TemporaryDirectory() as scratch:
        listing = Path(scratch, "pylock.toml")
        command = [
            *(uv, "pip", "compile", "--quiet", "--no-deps", "--universal", str(LOCK)),
            *("--python-version", FORMULA_PYTHON, "--format", "pylock.toml", "-o", str(listing)),
        ]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        packages = tomllib.loads(listing.read_text("utf-8"))["packages"]
    archives = {package["name"]: package.get("sdist") for package in packages}
    values = {
        "VERSION": version,
        "URL": address or sdist.as_uri(),
        "SHA256": _digest(sdist),
        "PYTHON": FORMULA_PYTHON,
        "RESOURCES": "\n\n".join(_resources(archives)),
    }
    path = destination / "clinvk.rb"
    path.write_text(_filled("homebrew/clinvk.rb.in", values), "utf-8")
    return path


def _resources(archives: Mapping[str, Mapping[str, object] | None]) -> Iterator[str]:
    for each in locked(LOCK.read_text("utf-8")):
        name = each.requirement.name
        if not each.needed(FORMULA_PYTHON, "darwin"):
            continue
        match archives.get(name):
            case {"url": str(url), "hashes": {"sha256": str(digest)}} if digest in each.hashes:
                yield f'  resource "{name}" do\n    url "{url}"\n    sha256 "{digest}"\n  end'
            case _:
                raise Unfit(f"{name} has no source archive of a digest in the lock file")


def write_pkgbuild(destination: Path, version: str, sdist: Path) -> Path:
    """Write a folder that `makepkg` builds from: PKGBUILD, its scripts, and the source archive."""
    folder = destination / "aur"
    folder.mkdir(parents=True, exist_ok=True)
    values = {"VERSION": version, "SHA256": _digest(sdist)}
    (folder / "PKGBUILD").write_text(_filled("aur/PKGBUILD.in", values), "utf-8")
    shutil.copyfile(ROOT / "packaging/aur/clinvk.install", folder / "clinvk.install")
    shutil.copyfile(sdist, folder / sdist.name)
    return folder / "PKGBUILD"


def build_image(version: str) -> Path:
    """Build the container image without agents, tagged with the version.

    Raises:
        Unfit: there is no Docker here, or its daemon does not answer.
        subprocess.CalledProcessError: the build failed; it has said why.
    """
    recipe = ROOT / "packaging/docker/Dockerfile"
    if shutil.which("docker") is None:
        raise Unfit("docker is missing")
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        raise Unfit("the daemon of docker does not answer")
    tags = ["--tag", f"clinvk:{version}", "--tag", "clinvk:latest"]
    subprocess.run(["docker", "build", "--file", recipe, *tags, ROOT], check=True)
    return recipe


def _filled(name: str, values: Mapping[str, str]) -> str:
    """A recipe with its values in place of ``@NAME@``."""
    text = (ROOT / "packaging" / name).read_text("utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
