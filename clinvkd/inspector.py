"""The last requests, as the request inspector shows them: in memory only, without secrets.

Credentials of ours are not even kept; what else looks like a secret is taken out when somebody
reads.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from multidict import CIMultiDict, CIMultiDictProxy, istr

from .keys import Caller
from .redaction import REDACTED, redact

MOST_BODY = 16 * 1024
"""Characters of a body that are shown."""

KEPT_BODY = MOST_BODY + 4 * 1024
"""Bytes of a body that are kept: the half of a secret would not be known as one, so what is looked
at ends with a word."""

_BETWEEN_WORDS = re.compile(r"[\s\"']")

_CREDENTIALS = (istr("Authorization"), istr("X-Api-Key"), istr("Cookie"))
_SECRET_NAMES = re.compile(r"auth|cookie|token|secret|password|api-?key", re.IGNORECASE)

UNKNOWN = "unknown"
"""The route of a request to a place where there is none."""

LEFT = 499
"""The status of a request whose caller left before it was answered."""


class InspectedRequest(NamedTuple):
    """A request that was answered; one is made for every request, so it is cheap to make.

    Attributes:
        id: unique, among other runs of the daemon, too.
        request_id: as the log has it; callers may choose it.
        began_at: Unix time.
        target: path and query as they were asked for; may hold secrets.
        route: the declared path, or `UNKNOWN`.
        status: of HTTP; `LEFT` when the caller left.
        key: name of the API key; None when the request was refused before that was known.
        request_headers: without credentials of ours; values may hold other secrets.
        body: its first `KEPT_BODY` bytes; None without one, or when it may not be kept.
        body_bytes: how long it was.
        response_headers: of the answer; None when there was none.
    """

    id: str
    request_id: str
    began_at: float
    method: str
    target: str
    route: str
    status: int
    milliseconds: float
    key: str | None
    request_headers: Mapping[str, str]
    body: bytes | None
    body_bytes: int
    response_headers: Mapping[str, str] | None

    def seen_by(self, caller: Caller) -> bool:
        """Whether a caller may see it: its own, or with the scope for it everybody's."""
        return caller.sees in (None, self.key)

    @property
    def path(self) -> str:
        """Path and query without secrets."""
        return redact(_clean(self.target))

    @property
    def text(self) -> str | None:
        """The body as text, cut to `MOST_BODY` characters and without secrets."""
        if self.body is None:
            return None
        text = self.body.decode("utf-8", "replace")
        border = _BETWEEN_WORDS.search(text, MOST_BODY)
        return redact(text[: border.start() if border else MOST_BODY])[:MOST_BODY]

    @property
    def truncated(self) -> bool:
        """Whether `text` is not the whole body."""
        return self.body is not None and self.body_bytes > MOST_BODY


class Inspector:
    """The last requests."""

    def __init__(self) -> None:
        self._requests: deque[InspectedRequest] = deque()
        # A page that stays open over a restart must not take one request for another.
        self._run = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    def next_id(self) -> str:
        """An id for a request, that no other has."""
        return f"{self._run}-{next(self._numbers)}"

    def keep(self, request: InspectedRequest, most: int) -> None:
        """Keep a request, and no more than `most` of them."""
        self._requests.append(request)
        while len(self._requests) > most:
            self._requests.popleft()

    def newest(self, caller: Caller) -> Iterator[InspectedRequest]:
        """Those that a caller may see, the newest first."""
        return (request for request in reversed(self._requests) if request.seen_by(caller))

    def find(self, request_id: str, caller: Caller) -> InspectedRequest | None:
        """One that a caller may see."""
        return next((one for one in self.newest(caller) if one.id == request_id), None)


def without_credentials(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """Headers with `[redacted]` for what clinvk knows its callers by."""
    kept = headers.copy()
    for name in _CREDENTIALS:
        if name in kept:
            kept[name] = REDACTED
    return kept


def readable(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers as they are shown: the values of one name together, without secrets."""
    shown: dict[str, str] = {}
    for name, value in headers.items():
        clean = REDACTED if _SECRET_NAMES.search(name) else redact(_clean(value))
        shown[name] = f"{shown[name]}, {clean}" if name in shown else clean
    return shown


def _clean(text: str) -> str:
    """Text that JSON can carry: bytes that are no UTF-8 come in headers and paths, too."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
