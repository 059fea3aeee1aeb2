"""The wheels of everything clinvk needs, by the lock file and for several versions of Python."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from . import ROOT

LOCK = ROOT / "packaging" / "requirements.lock"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
"""Versions of Python one package is for: those of the distributions that are supported."""

_OLDEST_GLIBC, _NEWEST_GLIBC = 17, 34
"""Minor versions of glibc 2 that a wheel may want; 2.34 is older than any supported system."""


@dataclass(frozen=True, slots=True)
class Locked:
    """A requirement of the lock file.

    Attributes:
        requirement: name and exact version, and the marker that says where it is needed.
        hashes: SHA-256 digests, in hexadecimal, of all its files.
    """

    requirement: Requirement
    hashes: tuple[str, ...]

    def needed(self, python: str, platform: str) -> bool:
        """Whether a version of Python needs it, even the first of its patch releases."""
        marker = self.requirement.marker
        environment = {
            "python_version": python,
            "python_full_version": f"{python}.0",
            "sys_platform": platform,
        }
        return marker is None or marker.evaluate(environment)

    def line(self) -> str:
        """It as a line for pip, without its marker, which pip would ask of its own Python."""
        hashes = "".join(f" --hash=sha256:{digest}" for digest in self.hashes)
        return f"{self.requirement.name}{self.requirement.specifier}{hashes}\n"


def locked(text: str) -> Iterator[Locked]:
    """The requirements of a lock file as `uv pip compile --generate-hashes` writes it."""
    for block in re.split(r"\n(?=[^\s#])", text):
        lines = "\n".join(line for line in block.splitlines() if not line.startswith("#"))
        if lines.strip():
            requirement = lines.partition("\\")[0].strip()
            hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})", lines)
            yield Locked(Requirement(requirement), tuple(hashes))


def locked_wheels(machine: str, pythons: Sequence[str] = PYTHONS) -> list[Path]:
    """The wheels of the lock file for Linux, downloaded unless they are in the cache.

    Args:
        machine: as `uname -m` says it.
        pythons: versions of Python, such as ``3.13``.

    Raises:
        subprocess.CalledProcessError: pip could not get one of them, or its digest is wrong.
    """
    wheels = {
        wheel.name: wheel
        for python in pythons
        for wheel in _wheels_of(machine, python).glob("*.whl")
    }
    return [wheels[name] for name in sorted(wheels)]


def own_wheel(folder: Path, epoch: int) -> Path:
    """Build the wheel of clinvk; its files are dated `epoch`."""
    return _hatch("wheel", folder, epoch)


def own_sdist(folder: Path, epoch: int) -> Path:
    """Build the source archive of clinvk; its files are dated `epoch`."""
    return _hatch("sdist", folder, epoch)


def _hatch(target: str, folder: Path, epoch: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        subprocess.run(
            [sys.executable, "-P", "-m", "hatchling", "build", "-t", target, "-d", scratch],
            cwd=ROOT,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        (built,) = Path(scratch).iterdir()
        return built.replace(folder / built.name)


def _wheels_of(machine: str, python: str) -> Path:
    """The folder of the wheels for one Python: there completely, or not at all."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clinvk-packaging"
    wanted = f"{machine} {python}\n".encode() + LOCK.read_bytes()
    folder = base / f"wheels-{python}-{hashlib.sha256(wanted).hexdigest()[:16]}"
    if not folder.is_dir():
        base.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".wheels-", dir=base) as scratch:
            _download(machine, python, complete := Path(scratch, "complete"))
            try:
                complete.rename(folder)
            except OSError:
                if not folder.is_dir():
                    raise
                # Another build was quicker.
    return folder


def _download(machine: str, python: str, folder: Path) -> None:
    requirements = [each for each in locked(LOCK.read_text()) if each.needed(python, "linux")]
    listed = folder.with_name("requirements.txt")
    listed.write_text("".join(each.line() for each in requirements))
    platforms = [
        f"--platform=manylinux_2_{minor}_{machine}"
        for minor in range(_NEWEST_GLIBC, _OLDEST_GLIBC - 1, -1)
    ]
    abis = (f"--abi=cp{python.replace('.', '')}", "--abi=abi3", "--abi=none")
    command = [
        *(sys.executable, "-P", "-m", "pip", "download", "-qq", "--disable-pip-version-check"),
        *("--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation=cp"),
        *(f"--python-version={python}", *abis, *platforms, f"--platform=manylinux2014_{machine}"),
        *("--dest", str(folder), "--requirement", str(listed)),
    ]
    subprocess.run(command, check=True)
