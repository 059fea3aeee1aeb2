"""The private folder of one run of the daemon, and what runs that were killed left of theirs.

A run holds a lock in its folder for as long as it lives. So a later one knows which folders nobody
will ever remove, and removes those.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import structlog

_PREFIX = "clinvk-"
_LOCK = ".lock"
_log = structlog.get_logger(__name__)


class PrivateFolder:
    """A new folder below the directory of temporary files that only its owner can enter.

    Attributes:
        path: absolute, all links resolved.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
        new = self.path / f"{_LOCK}.new"
        self._lock = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with suppress(OSError):  # a file system without locks; then nobody removes it
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        new.rename(self.path / _LOCK)  # nobody ever sees it without its lock

    def remove(self) -> None:
        """Remove it with all that is in it, as far as that can be done. Blocking."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def clear_abandoned(temporary: Path) -> int:
    """Remove the folders of runs that were killed, if nothing uses them; how many. Blocking.

    Args:
        temporary: the directory of temporary files.
    """
    cleared = 0
    for folder in temporary.glob(f"{_PREFIX}*"):
        with suppress(OSError), _taken_over(folder) as abandoned:
            if abandoned and not _used(folder.resolve()):
                shutil.rmtree(folder, ignore_errors=True)
                cleared += 1
                _log.info("folder of a killed daemon removed", folder=str(folder))
    return cleared


@contextmanager
def _taken_over(folder: Path) -> Iterator[bool]:
    """Whether the folder is one of ours whose run is over; if so, nobody else removes it now.

    Raises:
        OSError: it is none of ours.
    """
    found = folder.lstat()
    if not _is_ours(found, stat.S_ISDIR):
        yield False
        return
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not _is_ours(os.fstat(lock), stat.S_ISREG):
            yield False
            return
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    finally:
        os.close(lock)


def _is_ours(found: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    private = not stat.S_IMODE(found.st_mode) & 0o077
    return private and found.st_uid == os.getuid() and is_kind(found.st_mode)


def _used(folder: Path) -> bool:
    """Whether a process works in the folder: an agent that has outlived its daemon."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            places = (process.cwd(), process.environ().get("TMPDIR", ""))
            if any(Path(place).is_relative_to(folder) for place in places):
                return True
    return False
