"""A log file that does not grow for ever, for service managers that rotate none (launchd).

Standard output and error are this file, so that it also has what no logger writes; when it has
grown, it is renamed and a new one takes its place under both.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

LARGEST = 10 * 1024 * 1024
"""Bytes after which a new file is begun."""

KEPT = 5
"""Older files that are kept, as `NAME.1` to `NAME.5`."""

_PERIOD = 30.0  # seconds between two looks at its size


class LogFile:
    """The file behind standard output and error of this process.

    Args:
        path: of the file; its folder must exist.
        largest: bytes after which a new one is begun.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, largest: int = LARGEST) -> None:
        self._path = path
        self._largest = largest
        self._timer: asyncio.TimerHandle | None = None
        self._open()

    def watch(self) -> None:
        """Look at its size, now and then, from the running event loop."""
        with suppress(OSError):  # a full disk: what is open stays open
            self.rotate()
        self._timer = asyncio.get_running_loop().call_later(_PERIOD, self.watch)

    def unwatch(self) -> None:
        """Look at it no more; before the loop is closed."""
        if self._timer is not None:
            self._timer.cancel()

    def rotate(self) -> bool:
        """Begin a new file if this one is large; whether it was.

        Raises:
            OSError: it cannot be renamed or made.
        """
        if os.fstat(2).st_size < self._largest:
            return False
        for number in range(KEPT - 1, 0, -1):
            with suppress(FileNotFoundError):
                self._numbered(number).replace(self._numbered(number + 1))
        self._path.replace(self._numbered(1))
        self._open()
        return True

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        file = os.open(self._path, flags, 0o600)
        try:
            os.fchmod(file, 0o600)  # whoever made it may have let others read it
            for standard in (1, 2):
                os.dup2(file, standard)
        finally:
            if file > 2:
                os.close(file)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
