"""Debian trees to boot: small ones with systemd and Python, made by debootstrap and kept.

They lie beside the agents that `tests/install_agents.py` keeps, in `trees`, each in a folder named
after what it is made of. Nothing ever writes into one again: containers have a layer of their own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from ...install_agents import cache_directory, exclusive

SUITES = {12: "bookworm", 13: "trixie"}
"""Debian's releases by their number."""

_PACKAGES = (
    *("systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "python3", "curl"),
    *("bubblewrap", "socat"),  # what claude makes its sandbox of; codex brings its own
)
_NEEDED = ("debootstrap", "nsenter", "apt-get", "dpkg-deb")
_PATIENCE = 600  # seconds; a minute is usual


class CannotBoot(Exception):
    """This machine cannot boot a tree; the text says why."""


def check() -> None:
    """Make sure that trees can be made here.

    Raises:
        CannotBoot: naming what is missing.
    """
    if os.geteuid() != 0:
        raise CannotBoot("only root can make and boot a Debian tree")
    if missing := [name for name in _NEEDED if shutil.which(name) is None]:
        raise CannotBoot(f"not installed: {', '.join(missing)} (apt install debootstrap)")


def tree(release: int) -> Path:
    """The folder of a Debian; made if there is none yet, which takes about a minute.

    Raises:
        CannotBoot: it cannot be made here.
    """
    check()
    recipe = hashlib.sha256(" ".join((SUITES[release], *_PACKAGES)).encode()).hexdigest()[:12]
    folder = cache_directory().parent / "trees" / f"debian-{release}"
    made = folder / recipe
    with exclusive(folder):
        if not made.is_dir():
            _make(release, made)
    return made


def _make(release: int, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".making-", dir=folder.parent) as scratch:
        root = Path(scratch, "root")
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}",
             SUITES[release], str(root), *_mirror()],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE,
            check=False,
        )  # fmt: skip
        if done.returncode != 0:
            log = root / "debootstrap" / "debootstrap.log"
            end = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise CannotBoot(f"debootstrap {SUITES[release]} failed: {done.stderr[-500:]}{end}")
        # Each container gets an id of its own.
        (root / "etc" / "machine-id").write_text("")
        (root / "var" / "lib" / "dbus" / "machine-id").unlink(missing_ok=True)
        shutil.rmtree(root / "var" / "cache" / "apt" / "archives", ignore_errors=True)
        root.rename(folder)


def _mirror() -> list[str]:
    """Where this machine's own apt gets Debian from; nothing leaves that to debootstrap."""
    sources = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(COMPONENT)|$(REPO_URI)|$(SUITE)"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    for line in sources.stdout.splitlines():
        origin, component, address, suite = line.split("|")
        if (origin, component) == ("Debian", "main") and "security" not in f"{address}{suite}":
            return [address.removeprefix("mirror+")]
    return []
