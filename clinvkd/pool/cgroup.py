"""A control group (cgroup v2) for each process, where the daemon was given a part of the tree.

A process cannot leave its group by starting a session or by being orphaned, so killing the group
ends all it started, at once; and the kernel holds the group to its memory and number of tasks.
systemd gives a service its part with ``Delegate=yes``. Without one, `descendants` does the work.

Source of the facts: Control Group v2 in the documentation of Linux, CGROUP_DELEGATION of systemd.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

_log = structlog.get_logger(__name__)

_DAEMON: Final = "daemon"
_PREFIX: Final = "agent-"
_DELEGATED: Final = "user.delegate"
"""Attribute by which systemd (251 and newer) tells that it leaves the group to the service."""

_UNIT: Final = "clinvk.service"
"""Our unit of a user's own manager. It says `Delegate=yes`, but such a manager sets no attribute
(seen with systemd 252 and 257)."""

_CONTROLLERS: Final = ("memory", "pids")
_PATIENCE: Final = 5.0  # seconds until all of a killed group are gone; only sick disks take long
_ENTER: Final = 'echo 0 >"$1" && shift && exec "$@"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a process and all it starts may use together; 0 sets no limit.

    Attributes:
        memory: bytes, swap included.
        tasks: processes and threads.
    """

    memory: int = 0
    tasks: int = 0


class Cgroup:
    """The control group of one process.

    Args:
        folder: its directory in the tree.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entering(self, argv: Sequence[str]) -> list[str]:
        """The command line that enters the group and then becomes `argv`.

        A child cannot be put into a group before its first instruction without running code
        between fork and exec, which is not safe in a process with threads; a shell can.
        """
        return ["/bin/sh", "-c", _ENTER, "sh", str(self.folder / "cgroup.procs"), *argv]

    def kill(self) -> None:
        """SIGKILL every process in the group, and in groups they made in it."""
        try:
            (self.folder / "cgroup.kill").write_text("1")
        except FileNotFoundError:  # before Linux 5.14; or the group is gone, and nobody is in it
            for pid in self.members():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill what is left in the group and remove it. Blocking: a few milliseconds."""
        deadline = time.monotonic() + _PATIENCE
        while self.folder.exists():
            self.kill()
            if not self._populated():
                with suppress(OSError):  # a zombie that nobody has waited for holds it a moment
                    self._remove()
                    return
            if time.monotonic() > deadline:
                _log.warning("a control group does not get empty", group=self.folder.name)
                return
            time.sleep(0.001)

    def members(self) -> list[int]:
        """Ids of the processes in the group and below it; empty when it is gone."""
        pids: list[int] = []
        for file in [self.folder / "cgroup.procs", *self.folder.rglob("*/cgroup.procs")]:
            with suppress(OSError):
                pids += map(int, file.read_text().split())
        return pids

    def _populated(self) -> bool:
        try:
            return "populated 1" in (self.folder / "cgroup.events").read_text()
        except OSError:
            return False

    def _remove(self) -> None:
        below = [path for path in self.folder.rglob("*") if path.is_dir()]
        for folder in [*sorted(below, reverse=True), self.folder]:
            folder.rmdir()


class Cgroups:
    """The daemon's part of the tree; itself it is in a group of its own in there.

    Args:
        root: the directory of that part.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._numbers = itertools.count(1)

    def create(self, limits: Limits) -> Cgroup:
        """A new, empty group. Limits whose controller is not to be had are left out.

        Raises:
            OSError: the kernel refuses one more.
        """
        folder = self._root / f"{_PREFIX}{next(self._numbers)}"
        folder.mkdir()
        if limits.memory:
            _set(folder / "memory.max", str(limits.memory))
            _set(folder / "memory.swap.max", "0")  # or the limit only begins to swap
            _set(folder / "memory.oom.group", "1")  # half of an agent is of no use
        if limits.tasks:
            _set(folder / "pids.max", str(limits.tasks))
        return Cgroup(folder)


def claim() -> Cgroups | None:
    """Take over the group this process is in, if it was delegated; None where there is none.

    It must be the only process in there, since a group that holds groups may hold no processes:
    everybody's parent, or a person's shell, is not to be moved about.
    """
    try:
        root = _own_group()
        if (why := _unfit(root)) is not None:
            _log.debug("agents get no control groups", reason=why)
            return None
        (root / _DAEMON).mkdir(exist_ok=True)
        (root / _DAEMON / "cgroup.procs").write_text("0")
        for name in _CONTROLLERS:
            with suppress(OSError):  # not delegated, or not in this kernel
                (root / "cgroup.subtree_control").write_text(f"+{name}")
    except (OSError, LookupError) as error:
        _log.debug("agents get no control groups", reason=str(error))
        return None
    for left in root.glob(f"{_PREFIX}*"):  # of an earlier daemon in the same group
        Cgroup(left).end()
    enabled = (root / "cgroup.subtree_control").read_text().split()
    _log.info("each agent gets a control group", limits=sorted({*_CONTROLLERS} & {*enabled}))
    return Cgroups(root)


def _own_group() -> Path:
    """Directory of the group of this process.

    Raises:
        LookupError: there is no cgroup v2 here.
    """
    if sys.platform != "linux":
        raise LookupError("only Linux has control groups")
    entries = Path("/proc/self/cgroup").read_text().splitlines()
    own = next((line[3:] for line in entries if line.startswith("0::/")), None)
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        root, mounted = before.split()[3:5]
        if own is not None and after.startswith("cgroup2 ") and Path(own).is_relative_to(root):
            return Path(mounted) / Path(own).relative_to(root)
    raise LookupError("cgroup v2 is not mounted")


def _unfit(root: Path) -> str | None:
    """Why `root` is not ours to arrange, or None when it is."""
    if not (root / "cgroup.events").exists():
        return "this is the root of the tree"
    if not (os.access(root, os.W_OK) and os.access(root / "cgroup.procs", os.W_OK)):
        return "the group of the daemon is not writable"
    if not _is_delegated(root):
        return "the group of the daemon is not delegated to it"
    if (root / "cgroup.procs").read_text().split() != [str(os.getpid())]:
        return "there are other processes in the group of the daemon"
    return None


def _is_delegated(root: Path) -> bool:
    if root.name == _UNIT and any(each.name.startswith("user@") for each in root.parents):
        return True
    try:
        return os.getxattr(root, _DELEGATED) == b"1"
    except OSError:
        return False


def _set(file: Path, value: str) -> None:
    with suppress(FileNotFoundError, PermissionError):  # no such controller here
        file.write_text(value)
