"""Which directories an agent may work in. A working directory is a grant to run code there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import Forbidden, InvalidRequest
from .opening import open_directory

PARAM = "workdir"
_LONGEST_SHOWN = 1_000  # characters of a path in a message


class WorkdirPolicy:
    """The configured prefixes, resolved once. Those below ``~`` lie in the home of this user.

    Args:
        allowed: directories a workdir must lie under; empty allows all that is not blocked.
        blocked: directories it must not lie under; they win.
        own: what is clinvk's own: blocked, whatever the configuration says.
        trust: directories and whether files below them may configure an agent.
    """

    def __init__(
        self,
        allowed: Iterable[str],
        blocked: Iterable[str],
        *,
        own: Iterable[Path] = (),
        trust: Mapping[str, bool] | None = None,
    ) -> None:
        self._allowed = [_resolved(prefix) for prefix in allowed]
        self._blocked = [*map(_resolved, blocked), *map(_resolved, own)]
        self._trust = {_resolved(prefix): trusted for prefix, trusted in (trust or {}).items()}

    def approve(self, text: str, within: Iterable[Path] | None = None) -> Path:
        """The real path of a directory a caller named. Blocking: asks the file system.

        Prefixes match whole components of the path with all symbolic links resolved, so a link
        inside an allowed directory does not lead out of it. What is done there later must use
        `open_directory`: then it is done in this place and no other.

        Args:
            within: the caller's own directories, links resolved, under one of which it must lie,
                too; None if it has none of its own.

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
            self._check(_resolved(given), text, within)
            raise InvalidRequest(f"workdir does not exist: {text!r}", param=PARAM) from None
        self._check(path, text, within)
        check_in_place(path, text)
        return path

    def trusts(self, path: Path) -> bool | None:
        """What the innermost configured directory above `path` says; None when there is none.

        Args:
            path: as `approve` gave it.
        """
        around = [prefix for prefix in self._trust if path.is_relative_to(prefix)]
        if not around:
            return None
        return self._trust[max(around, key=lambda prefix: len(prefix.parts))]

    def _check(self, path: Path, text: str, within: Iterable[Path] | None) -> None:
        if path == Path("/") or any(path.is_relative_to(prefix) for prefix in self._blocked):
            raise Forbidden(f"workdir is under a blocked path: {text!r}", param=PARAM)
        if self._allowed and not any(path.is_relative_to(prefix) for prefix in self._allowed):
            raise Forbidden(f"workdir is not under an allowed path: {text!r}", param=PARAM)
        if within is not None and not any(path.is_relative_to(prefix) for prefix in within):
            raise Forbidden(f"this API key may not use workdir {text!r}", param=PARAM)


def check_in_place(path: Path, text: str = "") -> None:
    """See whether a path that was approved still leads to a directory, and through no link.

    Args:
        path: as `WorkdirPolicy.approve` gave it.
        text: as the caller wrote it.

    Raises:
        InvalidRequest: it does not.
    """
    text = text or str(path)
    try:
        os.close(open_directory(path))
    except NotADirectoryError:
        raise InvalidRequest(f"workdir is not a directory: {text!r}", param=PARAM) from None
    except OSError as error:
        raise InvalidRequest(
            f"workdir cannot be entered ({error.strerror}): {text!r}", param=PARAM
        ) from None


def _resolved(prefix: str | Path) -> Path:
    try:
        return Path(prefix).expanduser().resolve()
    except (OSError, RuntimeError):  # a loop of links, a name too long, no home
        return Path(prefix)
