"""Python, PATH and the limits of processes."""

from __future__ import annotations

import grp
import os
import platform
import pwd
import resource
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from .. import __version__
from .finding import Finding, Patient

_FEW_FILES = 1024
_FEW_PROCESSES = 512
_ADMINISTRATORS = ("root", "wheel", "sudo", "admin")  # groups that sudo lets do everything


def check_python(_: Patient) -> Iterator[Finding]:
    """What runs clinvk."""
    yield Finding(
        "clinvk", "ok",
        f"clinvk {__version__}, Python {platform.python_version()} ({sys.executable}),"
        f" {platform.system()} {platform.release()} {platform.machine()}",
    )  # fmt: skip


def check_path(patient: Patient) -> Iterator[Finding]:
    """Folders in which other users or the working directory could put an agent's program."""
    entries = patient.environ.get("PATH", "").split(os.pathsep)
    wrong = False
    for entry in dict.fromkeys(entries):
        folder = Path(entry)
        if not entry.startswith("/"):
            wrong = True
            detail = f"{entry!r} is relative, so the working directory decides what it is"
            yield Finding("path", "warn", detail, "take it out of PATH")
        elif folder.is_dir() and (found := _who_else(folder.stat())):
            wrong = True
            who, change = found
            remedy = f"{change} {entry}, or take it out of PATH"
            yield Finding("path", "warn", f"{entry} {who}", remedy)
    if not wrong:
        yield Finding("path", "ok", f"{len(entries)} folders, none of which others can change")


def check_limits(patient: Patient) -> Iterator[Finding]:
    """Files and processes that may be open at once."""
    if patient.service is not None:
        return  # its unit sets them; those of this shell mean nothing
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    unlimited = resource.RLIM_INFINITY
    if files != unlimited and files < _FEW_FILES:
        yield Finding(
            "limits.files", "warn", f"{files} open files: half of them bound the connections",
            f"ulimit -n {8 * _FEW_FILES}; the units set their own limit",
        )  # fmt: skip
    else:
        yield Finding("limits.files", "ok", f"{_count(files)} open files")
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if processes != unlimited and processes < _FEW_PROCESSES:
        yield Finding(
            "limits.processes", "warn",
            f"{processes} processes and threads of this user; an agent needs a dozen",
            f"ulimit -u {8 * _FEW_PROCESSES}",
        )  # fmt: skip
    else:
        yield Finding("limits.processes", "ok", f"{_count(processes)} processes")


def _who_else(status: os.stat_result) -> tuple[str, str] | None:
    """Who but root and this user can change a folder, and what would end that."""
    if status.st_mode & stat.S_IWOTH:
        return "can be written by everybody", "chmod o-w"
    if status.st_uid not in (0, os.geteuid()):
        return f"belongs to another user ({status.st_uid})", "chown root"
    if status.st_mode & stat.S_IWGRP and (members := _other_members(status.st_gid)):
        return f"can be written by its group ({', '.join(members)})", "chmod g-w"
    return None


def _other_members(group: int) -> list[str]:
    """Who else is in a group: distributions and Homebrew leave folders to groups that have nobody
    in them, only this user, or only people who may become root anyway.
    """
    try:
        found = grp.getgrgid(group)
    except KeyError:
        return []
    if found.gr_name in _ADMINISTRATORS:
        return []
    users = pwd.getpwall()
    members = {*found.gr_mem, *(user.pw_name for user in users if user.pw_gid == group)}
    return sorted(members - {user.pw_name for user in users if user.pw_uid in (0, os.geteuid())})


def _count(limit: int) -> str:
    return "any number of" if limit == resource.RLIM_INFINITY else str(limit)
