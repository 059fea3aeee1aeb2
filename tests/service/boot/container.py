"""A Debian tree booted in a container, with systemd as its first process.

The container has a process table, a network (loopback only) and a tree of control groups of its
own; a layer in memory takes what is written, so the tree below stays as it is. Its processes are
seen from outside, too, under other ids: those of this module are the outer ones.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clinvkd.pool.cgroup import Cgroup

PATIENCE = 60.0
"""Seconds a command, or a process that has to end, may take on a busy machine."""

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "SYSTEMD_COLORS": "0",
    "SYSTEMD_PAGER": "",
}


@dataclass(frozen=True, slots=True)
class Container:
    """A booted tree.

    Attributes:
        leader: process id of its systemd.
        group: directory of its root control group.
        way: how it was made, one of `ways.WAYS`.
    """

    leader: int
    group: Path
    way: str

    def path(self, inside: str) -> Path:
        """A file of the container, from outside; no link on the way may be absolute."""
        return Path(f"/proc/{self.leader}/root{inside}")

    def command(self, *argv: str, user: str = "root") -> list[str]:
        """The command line that runs a program in the container."""
        # Some of systemd's services ask in which of its control groups a caller is.
        group = self.group / "callers.scope"
        group.mkdir(exist_ok=True)
        enter = ["nsenter", f"--target={self.leader}", "--all", "--root", "--wd"]
        become = [] if user == "root" else ["runuser", "-u", user, "--"]
        return Cgroup(group).entering([*enter, *become, *argv])

    def beside(self, *argv: str) -> list[str]:
        """The command line that runs a program of this machine in the container's network."""
        return ["nsenter", f"--net=/proc/{self.leader}/ns/net", *argv]

    def run(self, *argv: str, user: str = "root", check: bool = True) -> str:
        """Run a program in the container; its standard output and error.

        Raises:
            AssertionError: it failed, unless `check` is false.
        """
        done = subprocess.run(
            self.command(*argv, user=user), env=_ENVIRONMENT, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=2 * PATIENCE,
            check=False,
        )  # fmt: skip
        assert not (check and done.returncode), f"{' '.join(argv)} ({user}): {done.stdout}"
        return done.stdout

    @contextmanager
    def running(self, *argv: str, user: str = "root") -> Iterator[subprocess.Popen[str]]:
        """A program that runs in the container meanwhile; its output can be read."""
        with subprocess.Popen(
            self.command(*argv, user=user), env=_ENVIRONMENT, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                process.kill()

    def processes(self, unit: str, below: str = "") -> set[int]:
        """Ids of all processes of a unit.

        Args:
            unit: its name, `clinvk.service`.
            below: a part of its control group, `daemon`.
        """
        return {
            pid
            for folder in self.group.rglob(unit)
            for pid in Cgroup(folder / below).members()
        }  # fmt: skip
