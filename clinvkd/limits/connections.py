"""Who may hold a connection, and for how long without using it.

aiohttp bounds the sizes of a head and the time an idle connection is kept; it bounds neither the
number of connections, nor the time a head takes to come, nor the time an answer takes to be read.
One timer looks after all connections: a request costs nothing more.

`RequestHandler` is public, what it keeps of a connection's state is not: the tests of this module
tell when a new version of aiohttp keeps it otherwise.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import Callable
from typing import Any

import structlog
from aiohttp import hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic_core import to_json

from ..access_log import new_request_id
from ..config import ServerSettings
from .addresses import Address, Addresses, parse

_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_CONTINUE = "100-continue"
_LOOK = 1.0  # seconds between two looks at all connections, at most

_log = structlog.get_logger(__name__)


class Connection(RequestHandler):
    """One connection.

    Attributes:
        peer: its address; None for a unix socket.
        head_since: when the head that is awaited began to come, or the connection was made, on
            the loop's clock; None when no head has begun.
        quiet_since: when it last was made or ended a request.
    """

    __slots__ = (
        "_begun",
        "_connections",
        "_socket",
        "_stalled_since",
        "_unsent",
        "head_since",
        "peer",
        "quiet_since",
    )

    def __init__(self, server: web.Server, connections: Connections, **options: Any) -> None:
        super().__init__(server, **options)
        self._connections = connections
        self.peer: Address | None = None
        self.head_since: float | None = None
        self.quiet_since = 0.0
        self._socket: asyncio.Transport | None = None
        self._begun = False
        self._unsent = 0
        self._stalled_since = 0.0

    # What asyncio and aiohttp call.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Come in, or be turned away."""
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        self._socket = transport
        address = transport.get_extra_info("peername")
        self.peer = parse(address[0]) if isinstance(address, tuple) else None
        self.head_since = self.quiet_since = self._loop.time()
        if not self._connections.admit(self):
            self.refuse()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Make room."""
        super().connection_lost(exc)
        self._socket = None
        self._connections.forget(self)

    def data_received(self, data: bytes) -> None:
        """Notice where a head begins and where it is complete."""
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self.head_since = None
            self.quiet_since = self._loop.time()
        elif self.waits:
            self._begun = True
            if self.head_since is None:
                self.head_since = self._loop.time()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP in JSON, without repeating any of it."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        request_id = new_request_id()  # nothing it says can be relied on, its own id neither
        _log.info("not a request", status=status, reason=type(exc).__name__, request_id=request_id)
        response = _answer(status, "invalid_request", "invalid_request_error", "malformed HTTP")
        response.headers["X-Request-Id"] = request_id
        response.force_close()
        return response

    # What becomes of it.

    @property
    def waits(self) -> bool:
        """Whether nothing happens on it: no request is complete, none is answered."""
        return not self._request_in_progress and not self._messages

    @property
    def expendable(self) -> bool:
        """Whether nobody waits for anything: no request has come in whole."""
        if self.waits:
            return True
        request = self._current_request
        return request is not None and not request.content.is_eof()

    def refuse(self) -> None:
        """Say that there is no room, and close."""
        response = _answer(503, "overloaded", "unavailable_error", "too many connections")
        assert isinstance(response.body, bytes)
        head = (
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(response.body)}\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
        )
        if self._socket is not None:
            self._socket.write(head.encode() + response.body)
        self.force_close()

    def make_room(self) -> None:
        """Close at once."""
        if self._socket is not None and self._socket.get_write_buffer_size():
            self._socket.abort()  # to close it would wait for a reader
        self.force_close()

    def look(self, now: float, head: float, unread: float) -> None:
        """Close it if its head takes longer than `head` seconds, or nobody reads its answer.

        A stream that is not read is cut by who writes it; here is what has been written whole.

        Args:
            unread: seconds for which no byte of the answer was taken.
        """
        socket = self._socket
        if socket is None or self._current_request is not None:
            self._unsent = 0
            return
        unsent = socket.get_write_buffer_size()
        if not unsent or unsent < self._unsent or not self._unsent:
            self._stalled_since = now
        self._unsent = unsent
        if unsent and now - self._stalled_since >= unread:
            socket.abort()
        elif self.head_since is not None and self.waits and now - self.head_since >= head:
            if self._begun and not socket.is_closing():
                socket.write(_TIMEOUT)
            self.force_close()


class Connections:
    """All connections of the daemon.

    Args:
        settings: has their number and their times.
        local: whether an address stands for many clients, so that only the number of all
            connections bounds it; by default those of this machine and the trusted proxies do.

    Attributes:
        most: how many there may be at once.
    """

    def __init__(
        self, settings: ServerSettings, local: Callable[[Address], bool] | None = None
    ) -> None:
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        unlimited = files == resource.RLIM_INFINITY
        self.most = (
            settings.max_connections
            if unlimited
            else min(settings.max_connections, max(1, files // 2))
        )
        self._most_per_peer = settings.max_connections_per_peer
        self._head = settings.header_timeout_secs
        self._unread = settings.write_timeout_secs
        proxies = Addresses(settings.trusted_proxies)
        self._local = local or (lambda peer: peer.is_loopback or proxies.trusts(peer))
        self._open: dict[Connection, None] = {}
        self._by_peer: Counter[Address] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection) -> bool:
        """Count a new connection, at the cost of another one if need be.

        Returns:
            Whether there is room. When there is none, the connection that has waited longest for
            a whole request makes room; only when all are being answered the new one is refused.
        """
        peer = connection.peer
        if peer is not None and not self._local(peer):
            full = self._by_peer[peer] >= self._most_per_peer
            if full and not self._make_room(peer):
                return False
        if len(self._open) >= self.most and not self._make_room():
            return False
        self._open[connection] = None
        if peer is not None:
            self._by_peer[peer] += 1
        return True

    def forget(self, connection: Connection) -> None:
        """Count it no more."""
        if connection not in self._open:
            return
        del self._open[connection]
        if connection.peer is not None:
            self._by_peer[connection.peer] -= 1
            if not self._by_peer[connection.peer]:
                del self._by_peer[connection.peer]

    def start(self) -> None:
        """Begin to look after them."""
        period = min(_LOOK, self._head / 4, self._unread / 4)
        loop = asyncio.get_running_loop()

        def look() -> None:
            now = loop.time()
            for connection in list(self._open):
                connection.look(now, self._head, self._unread)
            self._timer = loop.call_later(period, look)

        look()

    def stop(self) -> None:
        """Look after them no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _make_room(self, peer: Address | None = None) -> bool:
        expendable = (
            connection
            for connection in self._open
            if connection.expendable and (peer is None or connection.peer == peer)
        )
        oldest = min(expendable, key=lambda connection: connection.quiet_since, default=None)
        if oldest is None:
            return False
        self.forget(oldest)
        oldest.make_room()
        return True


class GuardedRunner(web.AppRunner):
    """Runs an application whose connections are limited.

    Args:
        connections: counts and times them.
        options: as for `web.AppRunner`.
    """

    def __init__(self, app: web.Application, *, connections: Connections, **options: Any) -> None:
        super().__init__(app, **options)
        self._connections = connections

    async def _make_server(self) -> web.Server:
        plain = await super()._make_server()
        self._connections.start()
        return _Server(plain, self._connections)

    async def _cleanup_server(self) -> None:
        self._connections.stop()
        await super()._cleanup_server()


class _Server(web.Server):
    """As `plain`, but with connections of ours, and nothing is expected of it but to continue."""

    def __init__(self, plain: web.Server, connections: Connections) -> None:
        def request(message: RawRequestMessage, *others: Any) -> web.BaseRequest:
            return plain.request_factory(_without_unknown_expectation(message), *others)

        super().__init__(
            plain.request_handler,
            request_factory=request,
            handler_cancellation=plain.handler_cancellation,
            **plain._kwargs,  # noqa: SLF001 - what the runner was given
        )
        self._guard = connections

    def __call__(self) -> Connection:
        return Connection(self, self._guard, loop=self._loop, **self._kwargs)


def _without_unknown_expectation(message: RawRequestMessage) -> RawRequestMessage:
    """The head without an `Expect` that means nothing to us, which HTTP allows to ignore.

    aiohttp would refuse it before any middleware: with no id, in plain text, and in no log.
    """
    if message.headers.get(hdrs.EXPECT, _CONTINUE).lower() == _CONTINUE:
        return message
    headers = CIMultiDict(message.headers)
    headers.popall(hdrs.EXPECT)
    return message._replace(headers=CIMultiDictProxy(headers))


def _answer(status: int, code: str, kind: str, message: str) -> web.Response:
    """An error in the form of the native API: of which one it was asked, nobody knows."""
    error = {"code": code, "message": message, "param": None, "type": kind}
    return web.Response(
        status=status, body=to_json({"error": error}), content_type="application/json"
    )
