"""A Debian tree booted in a container, with systemd as its first process.

The container has a process table, a network (loopback only) and a tree of control groups of its
own; a layer in memory takes what is written, so the tree below stays as it is. Its processes are
seen from outside, too, under other ids: those of this module are the outer ones.
"""

from __future__ import annotations

import os
import secrets
import select
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from clinvkd.pool.cgroup import Cgroup

from .tree import CannotBoot

PATIENCE = 60.0
"""Seconds a command, or a process that has to end, may take on a busy machine."""

_CONTROL_GROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
_ENTER = 'echo 0 >"$1/cgroup.procs" && shift && exec "$@"'
_NSPAWN = (
    *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network"),
    # Written is only to a layer in memory; `read-only` lets several containers have one tree.
    *("--read-only", "--volatile=overlay", "--link-journal=no", "--console=pipe"),
    *("--resolv-conf=off", "--timezone=off", "--hostname=debian"),
)
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
    """

    leader: int
    group: Path

    def path(self, inside: str) -> Path:
        """A file of the container, from outside; no link on the way may be absolute."""
        return Path(f"/proc/{self.leader}/root{inside}")

    def command(self, *argv: str, user: str = "root") -> list[str]:
        """The command line that runs a program in the container."""
        # Some of systemd's services ask in which of its control groups a caller is.
        group = self.group / "callers.scope"
        group.mkdir(exist_ok=True)
        enter = ["/bin/sh", "-c", _ENTER, "sh", str(group)]
        enter += ["nsenter", f"--target={self.leader}", "--all", "--root", "--wd"]
        return [*enter, *(() if user == "root" else ("runuser", "-u", user, "--")), *argv]

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


class Watch:
    """Sees processes end. They must be alive when it begins; nobody else gets their ids then.

    Args:
        pids: of the processes; any, not only children.
    """

    def __init__(self, pids: Sequence[int] | set[int], stack: ExitStack) -> None:
        self._poll = stack.enter_context(select.epoll())
        self._open: dict[int, int] = {}
        for pid in pids:
            descriptor = os.pidfd_open(pid)
            stack.callback(os.close, descriptor)
            self._open[descriptor] = pid
            self._poll.register(descriptor, select.EPOLLIN)

    def fileno(self) -> int:
        """A descriptor that is readable once one has ended."""
        return self._poll.fileno()

    def next(self) -> set[int]:
        """Wait until some end; which.

        Raises:
            TimeoutError: none does.
        """
        ended = self._poll.poll(PATIENCE)
        if not ended:
            raise TimeoutError(f"these do not end: {sorted(self._open.values())}")
        for descriptor, _ in ended:
            self._poll.unregister(descriptor)
        return {self._open.pop(descriptor) for descriptor, _ in ended}

    def all(self) -> None:
        """Wait until all have ended.

        Raises:
            TimeoutError: some do not.
        """
        while self._open:
            self.next()


@contextmanager
def watching(pids: Sequence[int] | set[int]) -> Iterator[Watch]:
    """See these processes end."""
    with ExitStack() as stack:
        yield Watch(pids, stack)


@contextmanager
def booted(tree: Path, *, shared: Path) -> Iterator[Container]:
    """Boot a tree; everything in it is killed afterwards.

    Args:
        shared: a folder of this machine that is `/mnt` in there, read-only.

    Raises:
        CannotBoot: this machine does not let us have such containers.
    """
    with ExitStack() as stack:
        group = stack.enter_context(_control_group())
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clinvk-boot-")))
        output = stack.enter_context((scratch / "output").open("w+"))
        nspawn = [*_NSPAWN, f"--directory={tree}", f"--machine={group.name}"]
        _try_out(group, nspawn)
        messages = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        messages.bind(str(scratch / "notify"))
        process = _start(
            group, [*nspawn, "--boot", "--notify-ready=yes", f"--bind-ro={shared}:/mnt"],
            output, str(scratch / "notify"),
        )  # fmt: skip
        stack.callback(process.wait)
        stack.callback(Cgroup(group).kill)
        leader = _leader(messages, process, output)
        yield Container(leader, group / "payload")


def _leader(messages: socket.socket, process: subprocess.Popen[bytes], output: IO[str]) -> int:
    """Wait until the system is up; the id of its first process."""
    leader = 0
    with watching([process.pid]) as watch:
        while True:
            readable, _, _ = select.select([messages.fileno(), watch.fileno()], [], [], PATIENCE)
            if messages.fileno() not in readable:
                output.seek(0)
                raise AssertionError(f"the container did not boot: {output.read()}")
            fields = dict(line.split("=", 1) for line in messages.recv(4096).decode().splitlines())
            leader = int(fields.get("X_NSPAWN_LEADER_PID", leader))
            if fields.get("READY") == "1":
                return leader


def _try_out(group: Path, nspawn: Sequence[str]) -> None:
    """Make sure that it is not this machine that keeps a container from starting."""
    with tempfile.TemporaryFile("w+") as output:
        if _start(group, [*nspawn, "/bin/true"], output).wait(PATIENCE) != 0:
            output.seek(0)
            raise CannotBoot(f"systemd-nspawn cannot start a container: {output.read().strip()}")


def _start(
    group: Path, argv: Sequence[str], output: IO[str], notify: str = ""
) -> subprocess.Popen[bytes]:
    """Start nspawn in a control group of its own, from where it makes that of the container."""
    environment = {"PATH": os.environ["PATH"], "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
    return subprocess.Popen(
        ["/bin/sh", "-c", _ENTER, "sh", str(group), *argv],
        env={**environment, "NOTIFY_SOCKET": notify} if notify else environment,
        stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
    )  # fmt: skip


@contextmanager
def _control_group() -> Iterator[Path]:
    """A new control group of version 2, of which nothing is left afterwards.

    Raises:
        CannotBoot: there can be none.
    """
    root = next((each for each in _CONTROL_GROUPS if (each / "cgroup.procs").exists()), None)
    if root is None:
        raise CannotBoot("control groups of version 2 are not mounted")
    folder = root / f"clinvk-boot-{secrets.token_hex(4)}"  # also the container's name
    folder.mkdir()
    try:
        yield folder
    finally:
        Cgroup(folder).end()
