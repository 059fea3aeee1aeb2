"""What an agent leaves behind: processes it started that are not in its process group any more.

Agents run commands in sessions of their own, so a signal to the agent's group does not reach
them, and a detached one outlives the agent. Two nets catch them: the tree below the agent, taken
before it is stopped, and on Linux the kernel giving orphans to us (child subreaper), where they
are recognised by a variable of the agent's environment.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import psutil

MARKER = "AGENT_SUPERVISOR_ID"
"""Environment variable every agent gets, with a value of its own that its children inherit."""

_PR_SET_CHILD_SUBREAPER = 36
_GENERATIONS = 8  # the children of an orphan are given to us only when it has ended


def become_subreaper() -> bool:
    """Have orphaned descendants given to this process. Linux only; False where it cannot be."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def tree(pid: int) -> list[psutil.Process]:
    """All processes below `pid`, itself not included. Blocking: some milliseconds."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def memory(pid: int) -> int:
    """Resident bytes of `pid` and everything below it; 0 when it is gone. Blocking."""
    total = 0
    try:
        root = psutil.Process(pid)
        members = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    for member in members:
        with suppress(psutil.Error):
            total += member.memory_info().rss
    return total


def used(pids: Sequence[int]) -> list[tuple[float, int]]:
    """Processor seconds and resident bytes of each of `pids` with everything below it.

    In one walk through all processes of the machine. Blocking: some milliseconds.
    """
    below: dict[int, list[psutil.Process]] = {}
    roots: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            below.setdefault(process.ppid(), []).append(process)
            roots[process.pid] = process
    return [_sum(roots.get(pid), below) for pid in pids]


def _sum(
    process: psutil.Process | None, below: Mapping[int, list[psutil.Process]]
) -> tuple[float, int]:
    if process is None:
        return 0.0, 0
    seconds, resident = 0.0, 0
    with suppress(psutil.Error), process.oneshot():
        times = process.cpu_times()
        # The last two are those of children that have ended and were waited for.
        seconds = times.user + times.system + times.children_user + times.children_system
        resident = process.memory_info().rss
    for child in below.get(process.pid, ()):
        more_seconds, more_resident = _sum(child, below)
        seconds, resident = seconds + more_seconds, resident + more_resident
    return seconds, resident


def adopted(marker: str) -> list[psutil.Process]:
    """Our own children that carry `marker`: orphans of that agent. Blocking."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if child.environ().get(MARKER) == marker:
                found.append(child)
    return found


def kill(processes: Iterable[psutil.Process]) -> int:
    """SIGKILL those that still run (a reused pid is never hit); how many there were."""
    killed = 0
    for process in processes:
        with suppress(psutil.Error):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                process.kill()
                killed += 1
    return killed


def end(below: Iterable[psutil.Process], marker: str) -> None:
    """SIGKILL an ended agent's descendants and wait for them. Blocking: up to some seconds.

    Args:
        below: its `tree` from before it ended.
        marker: value of `MARKER` in its environment.
    """
    for _ in range(_GENERATIONS):
        orphans = [*below, *adopted(marker)]
        if not kill(orphans):
            return
        psutil.wait_procs(orphans, timeout=1.0)


def reap(known: Iterable[int]) -> None:
    """Collect adopted processes that ended; `known` are the children others wait for."""
    awaited = set(known)
    for child in psutil.Process().children():
        with suppress(psutil.Error, ChildProcessError):
            if child.pid not in awaited and child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)
