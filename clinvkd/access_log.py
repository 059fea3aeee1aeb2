"""The access log: one line for every request that was answered, told without its content.

Where the log is JSON lines, these lines are made without structlog, whose processors cost more
than all checks of a request together; they are the same lines. They are collected and written
together: at the latest after a tenth of a second, before any other record, and at the end of the
process. Only what ends it without a word (SIGKILL) can lose some.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import random
import re
import time
from contextlib import suppress
from contextvars import ContextVar
from functools import lru_cache
from typing import Protocol, TextIO

import structlog

from .redaction import redact

_LATEST = 0.1  # seconds a line waits
_MOST = 64 * 1024  # characters that wait
_HEXADECIMAL = re.compile("[0-9a-f]+")

_log = structlog.get_logger("clinvkd.access")

REQUEST: ContextVar[dict[str, str]] = ContextVar("REQUEST")
"""Fields of all records that are logged while a request is handled: ``request_id``, ``client``."""


def new_request_id() -> str:
    """Tells requests apart and guards nothing, so it may be guessed."""
    return f"{random.getrandbits(64):016x}"


def of_the_request(
    logger: structlog.typing.WrappedLogger, name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """A processor of structlog that adds them."""
    for field, value in REQUEST.get({}).items():
        event.setdefault(field, value)
    return event


class AccessLog(Protocol):
    """Takes the lines."""

    def __call__(
        self, *, method: str, route: str, status: int, ms: float, request_id: str, client: str
    ) -> None:
        """Tell of a request; from the event loop.

        Args:
            route: the path as it is declared, for that of a request may hold anything.
            status: of the answer; 499 when the caller left before.
            ms: milliseconds until it was answered.
            request_id: of letters, digits and ``_.:-``.
            client: name of the key it was asked with, or empty.
        """


def structured(
    *, method: str, route: str, status: int, ms: float, request_id: str, client: str
) -> None:
    """Give the line to structlog, which takes the request's id and client from `REQUEST`."""
    del request_id, client
    _log.info("request", method=method, route=route, status=status, ms=ms)


class LineBuffer:
    """Collects lines for a file. What cannot be written is lost without a word.

    Args:
        file: takes whole lines.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lines: list[str] = []
        self._size = 0
        self._awaited = False
        atexit.register(self.flush)

    def write(self, line: str) -> None:
        """Take a line, which ends with a line feed; from the event loop."""
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _MOST:
            self.flush()
        elif not self._awaited:
            self._awaited = True
            asyncio.get_running_loop().call_later(_LATEST, self._write_the_latest)

    def flush(self) -> None:
        """Write what waits; from any thread."""
        lines, self._lines = self._lines, []
        self._size = 0
        if lines:
            with suppress(OSError, ValueError):  # nobody reads it any more, or it is closed
                self._file.write("".join(lines))
                self._file.flush()

    def _write_the_latest(self) -> None:
        self._awaited = False
        self.flush()


class JSONLines:
    """Writes the lines as `structured` and structlog's JSON would.

    Args:
        lines: where they go.
    """

    def __init__(self, lines: LineBuffer) -> None:
        self._write = lines.write

    def __call__(
        self, *, method: str, route: str, status: int, ms: float, request_id: str, client: str
    ) -> None:
        """Tell of a request."""
        now = time.time()
        second = int(now)
        self._write(
            f'{_beginning(method, route, status)}"ms": {ms}, "event": "request",'
            f' "request_id": "{_identity(request_id)}", {_client(client)}"level": "info",'
            f' "timestamp": "{_second(second)}.{int((now - second) * 1e6):06d}Z"}}\n'
        )


# What is said of a route and of a client is the same again and again, so it is put together once.


@lru_cache(maxsize=512)
def _beginning(method: str, route: str, status: int) -> str:
    return (
        f'{{"method": {json.dumps(redact(method))}, "route": {json.dumps(redact(route))},'
        f' "status": {status}, '
    )


@lru_cache(maxsize=512)
def _client(name: str) -> str:
    return f'"client": {json.dumps(redact(name))}, ' if name else ""


def _identity(request_id: str) -> str:
    """A request's id without what looks like a secret, which hexadecimal digits never do."""
    return request_id if _HEXADECIMAL.fullmatch(request_id) else redact(request_id)


@lru_cache(maxsize=1)
def _second(since_epoch: int) -> str:
    """A second as ISO 8601 has it, without its zone: many requests are answered in one."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since_epoch))
