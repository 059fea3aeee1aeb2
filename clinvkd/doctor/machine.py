"""Python, PATH and the limits of processes."""

from __future__ import annotations

import os
import platform
import resource
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from .. import __version__
from .finding import Finding, Patient

_FEW_FILES = 1024
_FEW_PROCESSES = 512


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
        elif folder.is_dir() and folder.stat().st_mode & stat.S_IWOTH:
            wrong = True
            remedy = f"chmod o-w {entry}, or take it out of PATH"
            yield Finding("path", "warn", f"{entry} can be written by everybody", remedy)
    if not wrong:
        yield Finding("path", "ok", f"{len(entries)} folders, none of which others can change")


def check_limits(_: Patient) -> Iterator[Finding]:
    """Files and processes that may be open at once."""
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


def _count(limit: int) -> str:
    return "any number of" if limit == resource.RLIM_INFINITY else str(limit)
