"""What was streamed to a caller, kept so that it can be sent again."""

from __future__ import annotations

from aiohttp import web

MOST_BYTES = 16 * 1024 * 1024
"""A longer stream is not kept."""


class Recording:
    """The body of one streamed response."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._complete = False

    def add(self, data: bytes) -> None:
        """Take the next part."""
        self._size += len(data)
        if self._size > MOST_BYTES:
            self._parts.clear()
        else:
            self._parts.append(data)

    def end(self) -> None:
        """The stream came to its end and told of no failure."""
        self._complete = True

    def body(self) -> bytes | None:
        """The whole body, or None when the stream failed or was too long."""
        if not self._complete or self._size > MOST_BYTES:
            return None
        return b"".join(self._parts)


RECORDING = web.RequestKey("recording", Recording)
