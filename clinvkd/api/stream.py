"""A turn as a streamed response: one write per read of the agent, errors in-band.

Nothing is sent before the agent has said something of substance (or a few seconds have passed),
so that a turn that fails at once gets its true HTTP status.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager

import structlog
from aiohttp import HttpVersion11, web
from aiohttp_sse import EventSourceResponse

from ..config import ServerSettings
from ..errors import ClinvkError, InternalError
from .dialect import Batch, Encoder
from .recording import RECORDING

_log = structlog.get_logger(__name__)

EVENT_STREAM = "text/event-stream"
NDJSON = "application/x-ndjson"

HOLD = 3.0
"""Most seconds for which the response's head is held back."""


async def stream(
    request: web.Request,
    batches: AsyncIterator[Batch],
    encoder: Encoder[Batch],
    *,
    server: ServerSettings,
    headers: Mapping[str, str],
) -> web.StreamResponse:
    """Send what comes of a turn, or of several, to the caller as it happens.

    Args:
        batches: a turn, or what `answers.merged` gives.
        server: has the times for heartbeats and stalled callers.

    Raises:
        ClinvkError: the turn failed before anything was sent.
        ConnectionError: the caller left. A stream that is recorded goes on all the same.
    """
    if request.method == "HEAD":  # a body would be taken for the next answer
        return web.Response(headers=headers, content_type=encoder.content_type)
    early, pending = await _early(batches, encoder)
    seconds = server.write_timeout_secs
    response = _response(encoder, headers, server)
    if request.version < HttpVersion11:
        response.force_close()  # without chunks nothing else tells its end
        response.headers["Connection"] = "close"
    watch = _WriteWatch(request, seconds)
    try:
        await watch.prepare(response)
        await watch.write(response, b"".join(map(encoder.feed, early)))
        if pending is not None and (late := await pending) is not None:
            await watch.write(response, encoder.feed(late))
        async for batch in batches:
            await watch.write(response, encoder.feed(batch))
        watch.complete()
    except ClinvkError as error:
        await watch.write(response, encoder.fail(error))
    except ConnectionError:
        raise  # the caller left while we wrote
    except Exception:  # noqa: BLE001 - the last line of defence
        _log.exception("stream failed")
        await watch.write(response, encoder.fail(InternalError("an internal error occurred")))
    finally:
        watch.close()
        if pending is not None:
            await _cancel(pending)
        if isinstance(response, EventSourceResponse):
            response.stop_streaming()
    await watch.end(response)
    return response


async def _early(
    batches: AsyncIterator[Batch], encoder: Encoder[Batch]
) -> tuple[list[Batch], asyncio.Task[Batch | None] | None]:
    """What comes up to the first substance, the end, or the limit of patience.

    Returns:
        The batches, and the read that is under way when patience ended: to cancel it would end
        an iterator that is a generator.
    """
    loop = asyncio.get_running_loop()
    early: list[Batch] = []
    deadline = loop.time() + HOLD
    while True:
        reading = loop.create_task(_next(batches), name="first of a stream")
        try:
            await asyncio.wait((reading,), timeout=deadline - loop.time())
        except asyncio.CancelledError:
            await _cancel(reading)
            raise
        if not reading.done():
            return early, reading
        if (batch := reading.result()) is None:
            return early, None
        early.append(batch)
        if encoder.substantial(batch):
            return early, None


async def _next(batches: AsyncIterator[Batch]) -> Batch | None:
    return await anext(batches, None)


async def _cancel(reading: asyncio.Task[Batch | None]) -> None:
    """End a read that nobody needs any more; whatever it ends with is of no interest."""
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


class _Events(EventSourceResponse):
    """An event stream whose ping may be an event of the dialect."""

    heartbeat: bytes | None = None

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """As ever, but what the library sends as a ping goes out as ours."""
        await super().write(self.heartbeat if self.heartbeat and data == _PING else data)


_PING = b": ping\n\n"


def _response(
    encoder: Encoder[Batch], headers: Mapping[str, str], server: ServerSettings
) -> web.StreamResponse:
    if encoder.content_type == EVENT_STREAM:
        events = _Events(
            headers=headers,
            sep="\n",
            allow_all_methods=True,
            send_timeout=server.write_timeout_secs,
            ping_interval=server.heartbeat_secs,
        )
        events.heartbeat = encoder.heartbeat
        return events
    response = web.StreamResponse(headers=headers)
    response.content_type = encoder.content_type
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Accel-Buffering"] = "no"
    return response


class _WriteWatch:
    """Writes to the caller, and cuts the connection of one that stopped reading.

    One timer per stream. What is recorded is also written down, and then a caller that has left
    is no reason to end.
    """

    def __init__(self, request: web.Request, seconds: float) -> None:
        self._request = request
        self._recording = request.get(RECORDING)
        self._left = False
        self._seconds = seconds
        self._writing_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._look()

    async def prepare(self, response: web.StreamResponse) -> None:
        with self._unless_recorded():
            await response.prepare(self._request)

    async def write(self, response: web.StreamResponse, data: bytes) -> None:
        if not data:
            return
        if self._recording is None:  # the usual case, and the hot path
            self._writing_since = time.monotonic()
            await response.write(data)
        else:
            self._recording.add(data)
            if not self._left:
                self._writing_since = time.monotonic()
                with self._unless_recorded():
                    await response.write(data)
        self._writing_since = None

    def complete(self) -> None:
        """Everything was written and nothing failed."""
        if self._recording is not None:
            self._recording.end()

    async def end(self, response: web.StreamResponse) -> None:
        if not self._left:
            with self._unless_recorded():
                await response.write_eof()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    @contextmanager
    def _unless_recorded(self) -> Iterator[None]:
        try:
            yield
        except ConnectionError:
            if self._recording is None:
                raise
            self._left = True

    def _look(self) -> None:
        since = self._writing_since
        if since is not None and time.monotonic() - since > self._seconds:
            if self._request.transport is not None:
                self._request.transport.abort()
            return
        self._timer = asyncio.get_running_loop().call_later(self._seconds / 2, self._look)
