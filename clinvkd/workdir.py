"""Which directories an agent may work in. A working directory is a grant to run code there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .errors import Forbidden, InvalidRequest

PARAM = "workdir"
_LONGEST_SHOWN = 1_000  # characters of a path in a message


class WorkdirPolicy:
    """The configured prefixes, resolved once.

    Args:
        allowed: directories a workdir must lie under; empty allows all that is not blocked.
        blocked: directories it must not lie under; they win.
    """

    def __init__(self, allowed: Iterable[str], blocked: Iterable[str]) -> None:
        self._allowed = [_resolved(prefix) for prefix in allowed]
        self._blocked = [_resolved(prefix) for prefix in blocked]

    def approve(self, text: str) -> Path:
        """The real path of a directory a caller named. Blocking: asks the file system.

        Prefixes match whole components of the path with all symbolic links resolved, so a link
        inside an allowed directory does not lead out of it.

        Raises:
            InvalidRequest: relative, missing, or not a directory.
            Forbidden: under a blocked prefix, or under no allowed one.
        """
        if "\0" in text:
            raise InvalidRequest("workdir must not hold a NUL character", param=PARAM)
        given, text = Path(text), text[:_LONGEST_SHOWN]
        if not given.is_absolute():
            raise InvalidRequest(f"workdir must be an absolute path, not {text!r}", param=PARAM)
        try:
            path = given.resolve(strict=True)
        except (OSError, RuntimeError):
            # Say nothing about what exists in places nobody may look into.
            self._check(_resolved(given), text)
            raise InvalidRequest(f"workdir does not exist: {text!r}", param=PARAM) from None
        self._check(path, text)
        if not path.is_dir():
            raise InvalidRequest(f"workdir is not a directory: {text!r}", param=PARAM)
        return path

    def _check(self, path: Path, text: str) -> None:
        if path == Path("/") or any(path.is_relative_to(prefix) for prefix in self._blocked):
            raise Forbidden(f"workdir is under a blocked path: {text!r}", param=PARAM)
        if self._allowed and not any(path.is_relative_to(prefix) for prefix in self._allowed):
            raise Forbidden(f"workdir is not under an allowed path: {text!r}", param=PARAM)


def _resolved(prefix: str | Path) -> Path:
    try:
        return Path(prefix).resolve()
    except (OSError, RuntimeError):  # a loop of links, a name too long
        return Path(prefix)
