"""The machine under every fake provider: an HTTP server that records requests and plays replies.

A vendor's dialect is a subclass that reads requests into `Conversation`s and turns a `Reply` into
the bytes of a stream or a document.  Pace, faults, recording and counting are here.
"""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Self

from aiohttp import ClientConnectionResetError, web

from .recording import Conversation, JsonObject, Kind, RecordedRequest
from .script import Failure, Reply, Script, ScriptError, obey_directives

WAIT_LIMIT = 60.0
"""Seconds after which the `wait_for_...` methods give up."""

_BODY_LIMIT = 256 * 1024 * 1024
_FAILURE_PAUSE = 0.05
"""Seconds between the last piece and the error of a stream that fails, or its end at `cut_at`.

Google's client sees the error only if it arrives in a read of its own, and some clients throw
away what they have not read yet when a connection is lost.
"""


@dataclass(frozen=True, slots=True)
class Frame:
    """Bytes to write at once; `piece` marks those that carry a piece of the answer's text."""

    data: bytes
    piece: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply made ready for one request: all that a dialect needs to put it on the wire."""

    request: RecordedRequest
    reply: Reply
    pieces: list[str]
    number: int
    """Counts the answers of a provider; makes identifiers unique and repeatable."""

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)

    def identifier(self, prefix: str, part: int = 0) -> str:
        """An identifier in the vendors' way: ``prefix_`` and digits; `part` tells items apart."""
        return f"{prefix}_fake{self.number:06d}{part:02d}"


class FakeProvider(ABC):
    """A model provider on ``http://127.0.0.1:PORT``, for use as an asynchronous context manager.

    `script` chooses the reply to every request of the kind `TURN`; the others get a harmless
    default.  `port` 0 lets the system choose.  `watch` is called with every request, before it is
    answered.
    """

    def __init__(
        self,
        script: Script = obey_directives,
        *,
        port: int = 0,
        watch: Callable[[RecordedRequest], None] | None = None,
    ) -> None:
        self.requests: list[RecordedRequest] = []
        """Every request in the order of arrival."""
        self.active = 0
        """Turns being answered now (silence included)."""
        self.max_active = 0
        """The most turns that were being answered at one time."""
        self.held = 0
        """Streams that stand still by `Reply.hold_after` now."""
        self.disconnects = 0
        """Turns whose client went away before the answer was complete."""
        self._script = script
        self._port = port
        self._watch = watch
        self._runner: web.AppRunner | None = None
        self._numbers = count(1)
        self._changed = asyncio.Event()
        self._gate = asyncio.Event()
        self._closing = False

    # The dialect

    @abstractmethod
    def classify(self, method: str, path: str, body: JsonObject) -> Kind:
        """Why this request was sent; `path` has no query string."""

    @abstractmethod
    def read(self, path: str, body: JsonObject) -> Conversation:
        """The conversation of a body.  Called for every request; must not fail on odd bodies."""

    @abstractmethod
    def stream(self, answer: Answer) -> Iterator[Frame]:
        """The frames of a streamed answer, from the first to the proper end."""

    @abstractmethod
    def document(self, answer: Answer) -> JsonObject:
        """The body of an answer that is not streamed."""

    @abstractmethod
    def error_document(self, failure: Failure) -> JsonObject:
        """The vendor's body of an HTTP error."""

    @abstractmethod
    def stream_error(self, answer: Answer) -> bytes:
        """The vendor's way to report an error in a stream that has begun; see `Reply.fail_kind`."""

    @abstractmethod
    def side_answer(self, request: RecordedRequest) -> Reply | JsonObject:
        """The harmless answer to a request that is neither `TURN` nor `UNKNOWN`."""

    # For tests

    @property
    def url(self) -> str:
        """The server's root, without a trailing slash."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def turns(self) -> list[RecordedRequest]:
        """The recorded requests of the kind `TURN`."""
        return [request for request in self.requests if request.kind is Kind.TURN]

    async def wait_for_request(self, number: int = 1) -> RecordedRequest:
        """Wait for request `number` (from 1) of any kind; raises TimeoutError at `WAIT_LIMIT`."""
        await self._wait_until(lambda: len(self.requests) >= number)
        return self.requests[number - 1]

    async def wait_for_turn(self, number: int = 1) -> RecordedRequest:
        """Wait for turn `number` (from 1); raises TimeoutError at `WAIT_LIMIT`."""
        await self._wait_until(lambda: len(self.turns) >= number)
        return self.turns[number - 1]

    async def wait_for_active(self, number: int = 1) -> None:
        """Wait until `number` turns or more are being answered; raises TimeoutError likewise."""
        await self._wait_until(lambda: self.active >= number)

    async def wait_for_held(self, number: int = 1) -> None:
        """Wait until `number` streams or more are held; raises TimeoutError likewise."""
        await self._wait_until(lambda: self.held >= number)

    async def wait_for_idle(self) -> None:
        """Wait until no turn is being answered; raises TimeoutError likewise."""
        await self._wait_until(lambda: self.active == 0)

    async def wait_for_disconnects(self, number: int = 1) -> None:
        """Wait until `number` clients went away in mid-answer; raises TimeoutError likewise."""
        await self._wait_until(lambda: self.disconnects >= number)

    def release(self) -> None:
        """Let all streams that are held by `hold_after` now go on; later ones are held again."""
        self._gate.set()
        self._gate = asyncio.Event()

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=_BODY_LIMIT)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            application, handler_cancellation=True, access_log=None, shutdown_timeout=0.05
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, backlog=512)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing = True
        if self._runner is not None:
            await self._runner.cleanup()

    # The server

    async def _wait_until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_LIMIT):
            while not reached():
                await self._changed.wait()

    def _announce(self) -> None:
        """Wake everybody who waits; never suspends, so it is safe in a cancelled handler."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        received_at = time.monotonic()
        raw = await http.read()
        try:
            body = json.loads(raw) if raw else {}
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return self._refuse(Failure(400, "the body is not a JSON object"))
        request = RecordedRequest(
            method=http.method,
            path=http.path_qs,
            headers=http.headers.copy(),
            body=body,
            received_at=received_at,
            kind=self.classify(http.method, http.path, body),
            conversation=self.read(http.path, body),
        )
        self.requests.append(request)
        self._announce()
        if self._watch is not None:
            self._watch(request)
        match request.kind:
            case Kind.TURN:
                return await self._answer_turn(http, request)
            case Kind.UNKNOWN:
                return self._refuse(Failure(404, f"no such path: {request.path}"))
            case _:
                match self.side_answer(request):
                    case Reply() as reply:
                        return await self._play(http, self._answer(request, reply))
                    case document:
                        return web.json_response(document)

    async def _answer_turn(self, http: web.Request, request: RecordedRequest) -> web.StreamResponse:
        self.active += 1
        self.max_active = max(self.max_active, self.active)
        self._announce()
        try:
            return await self._play(http, self._answer(request, self._script(request)))
        except ScriptError as error:
            return self._refuse(Failure(400, str(error)))
        except (asyncio.CancelledError, ClientConnectionResetError):
            self.disconnects += not self._closing
            raise
        finally:
            self.active -= 1
            self._announce()

    def _answer(self, request: RecordedRequest, reply: Reply) -> Answer:
        return Answer(request, reply, reply.pieces(request), next(self._numbers))

    def _refuse(self, failure: Failure) -> web.Response:
        wait = {} if failure.retry_after is None else {"retry-after": f"{failure.retry_after:g}"}
        return web.json_response(self.error_document(failure), status=failure.status, headers=wait)

    async def _play(self, http: web.Request, answer: Answer) -> web.StreamResponse:
        reply = answer.reply
        await asyncio.sleep(reply.wait)
        if reply.silent:
            await asyncio.Event().wait()
        if reply.error is not None:
            return self._refuse(reply.error)
        if not answer.request.conversation.streaming:
            return web.json_response(self.document(answer))
        response = web.StreamResponse(
            headers={"content-type": "text/event-stream", "cache-control": "no-cache"}
        )
        await response.prepare(http)
        await self._play_stream(http, response, answer)
        return response

    def _drop(self, http: web.Request) -> None:
        if http.transport is not None:
            http.transport.close()

    async def _hold(self) -> None:
        self.held += 1
        self._announce()
        try:
            await self._gate.wait()
        finally:
            self.held -= 1

    async def _play_stream(
        self, http: web.Request, response: web.StreamResponse, answer: Answer
    ) -> None:
        reply, sent, passed = answer.reply, 0, False
        for number, frame in enumerate(self.stream(answer)):
            if number == reply.cut_at:
                await asyncio.sleep(_FAILURE_PAUSE)
                self._drop(http)
                return
            if frame.piece and sent:
                await asyncio.sleep(reply.delay)
            if sent == reply.hold_after and not passed:
                passed = True
                await self._hold()
            if sent == reply.fail_after:
                await asyncio.sleep(_FAILURE_PAUSE)
                await response.write(self.stream_error(answer))
                return
            if sent == reply.cut_after:
                self._drop(http)
                return
            await response.write(frame.data)
            sent += frame.piece
