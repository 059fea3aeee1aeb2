"""Serves callers' tools to agents: an MCP server on loopback, over streamable HTTP.

One listener serves all conversations of the daemon. Each has its own bearer token and sees nothing
but its own tools. A call is handed to the conversation and its answer stays open until the result
is there, however long that takes: the headers go out at once and a comment every few seconds, for
clients that give up on a silent server.

Facts it stands on (Model Context Protocol 2025-06-18): requests are ``POST``; a server without
messages of its own answers ``GET`` with 405; notifications are answered with 202.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from pydantic_core import to_json

from .. import __version__
from ..drivers.base import TOOL_CALLED, TOOL_WITHDRAWN, Json
from ..drivers.decoding import decoded
from ..errors import BackendUnavailable

HEARTBEAT: Final = 5.0
"""Seconds between two comments in an answer that waits; some clients give up after 60."""

_PATH: Final = "/mcp"
_LARGEST_BODY: Final = 64 * 1024 * 1024
_PROTOCOL_VERSIONS: Final = ("2025-06-18", "2025-03-26", "2024-11-05")

_INVALID_REQUEST: Final = -32600
_METHOD_NOT_FOUND: Final = -32601
_INVALID_PARAMS: Final = -32602

_OVER: Final[Json] = {
    "content": [{"type": "text", "text": "the conversation is over"}],
    "isError": True,
}


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that waits for its result.

    Attributes:
        request: the id of the agent's request.
    """

    request: object
    result: asyncio.Future[Json]


class Offer:
    """The tools offered to one conversation, and the calls that wait.

    Attributes:
        place: where the agent finds them: ``{"url", "headers": {name: value}}``.
        definitions: what ``tools/list`` answers.
    """

    def __init__(
        self,
        place: Json,
        definitions: tuple[Json, ...],
        deliver: Callable[[Json], None],
        forget: Callable[[], object],
    ) -> None:
        self.place = place
        self.definitions = definitions
        self._names = frozenset(str(definition["name"]) for definition in definitions)
        self._deliver = deliver
        self._forget = forget
        self._calls: dict[str, _Call] = {}
        self._closed = False

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def answer(self, call: str, result: Json) -> None:
        """Give the agent the result of a call; one that does not wait any more is ignored."""
        if (waiting := self._calls.get(call)) is not None and not waiting.result.done():
            waiting.result.set_result(result)

    def close(self) -> None:
        """Offer nothing any more; calls that wait are answered as failed."""
        self._closed = True
        self._forget()
        for call in list(self._calls):
            self.answer(call, _OVER)

    # For the server.

    def called(self, request: object, name: str, arguments: Json) -> tuple[str, _Call]:
        """Hand a call to the conversation."""
        identity = f"call_{secrets.token_hex(12)}"
        call = _Call(request, asyncio.get_running_loop().create_future())
        self._calls[identity] = call
        params = {"id": identity, "name": name, "arguments": arguments}
        self._deliver({"method": TOOL_CALLED, "params": params})
        return identity, call

    def cancelled(self, request: object) -> None:
        """The agent says that it waits no longer for the answer to `request`."""
        for call in self._calls.values():
            if call.request == request and not call.result.done():
                call.result.cancel()

    def ended(self, identity: str) -> None:
        """The answer is out, or nobody waits for it any more."""
        call = self._calls.pop(identity)
        given = call.result.done() and not call.result.cancelled()
        if not given and not self._closed:
            self._deliver({"method": TOOL_WITHDRAWN, "params": {"id": identity}})


class ToolServer:
    """All offers of the daemon. It listens from the first offer on, until it is closed."""

    def __init__(self) -> None:
        self._offers: dict[bytes, Offer] = {}
        self._socket: socket.socket | None = None
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Task[None] | None = None
        self._host = ""

    def offer(self, definitions: tuple[Json, ...], deliver: Callable[[Json], None]) -> Offer:
        """Offer tools to one conversation.

        Args:
            definitions: as ``tools/list`` gives them.
            deliver: gets `TOOL_CALLED` and `TOOL_WITHDRAWN` messages.

        Raises:
            BackendUnavailable: no socket can be opened on the loopback address.
        """
        if self._listening is None:
            self._listen()
        token = secrets.token_urlsafe(32)
        key = _key(token)
        place = {
            "url": f"http://{self._host}{_PATH}",
            "headers": {"Authorization": f"Bearer {token}"},
        }
        offer = Offer(place, definitions, deliver, lambda: self._offers.pop(key, None))
        self._offers[key] = offer
        return offer

    async def aclose(self) -> None:
        """Close every offer and stop listening."""
        for offer in list(self._offers.values()):
            offer.close()
        if self._listening is not None:
            await self._listening
            self._listening = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _listen(self) -> None:
        """Bind at once, so that the address is known; accepting begins a moment later."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.bind(("127.0.0.1", 0))
            listener.listen(128)
        except OSError as error:
            listener.close()
            raise BackendUnavailable(f"tools cannot be served: {error}") from error
        listener.setblocking(False)
        self._socket = listener
        self._host = f"127.0.0.1:{listener.getsockname()[1]}"
        self._listening = asyncio.get_running_loop().create_task(
            self._accept(listener), name="tool server"
        )

    async def _accept(self, listener: socket.socket) -> None:
        application = web.Application(client_max_size=_LARGEST_BODY)
        application.router.add_route("*", _PATH, self._handle)
        self._runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=1
        )
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()

    # Requests.

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        offer = self._admit(request)
        if request.method != "POST":
            raise web.HTTPMethodNotAllowed(request.method, ["POST"])
        try:
            message = decoded(await request.read())
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"not JSON: {error}") from error
        match message:
            case {"id": _, "method": "tools/call", "params": {"name": str(name)}} if name in offer:
                return await self._call(request, offer, name, message)
            case {"id": _, "method": str()}:
                return web.json_response(body=to_json(_answer(offer, message)))
            case {"method": "notifications/cancelled", "params": {"requestId": cancelled}}:
                offer.cancelled(cancelled)
                return web.Response(status=202)
            case {"method": str()} | {"id": _}:
                return web.Response(status=202)
            case _:
                problem = _error({"id": None}, _INVALID_REQUEST, "not one JSON-RPC message")
                return web.json_response(body=to_json(problem), status=400)

    def _admit(self, request: web.Request) -> Offer:
        """The offer whose token the request carries; only for programs that know the address."""
        if request.host != self._host or "Origin" in request.headers:
            raise web.HTTPForbidden(text="not from here")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        offer = self._offers.get(_key(token))
        expected = "" if offer is None else offer.place["headers"]["Authorization"]
        given = f"{scheme.capitalize()} {token}"
        if not hmac.compare_digest(given.encode(), expected.encode()) or offer is None:
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        return offer

    async def _call(
        self, request: web.Request, offer: Offer, name: str, message: Json
    ) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        )
        await response.prepare(request)
        identity, call = offer.called(message["id"], name, message["params"].get("arguments") or {})
        try:
            while not (await asyncio.wait([call.result], timeout=HEARTBEAT))[0]:
                await response.write(b": waiting\n\n")
            if not call.result.cancelled():
                answer = {"jsonrpc": "2.0", "id": message["id"], "result": call.result.result()}
                await response.write(b"event: message\ndata: " + to_json(answer) + b"\n\n")
        finally:
            offer.ended(identity)
        with suppress(ConnectionResetError):
            await response.write_eof()
        return response


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def _answer(offer: Offer, request: Json) -> Json:
    """The answer to what needs no conversation."""
    params = request.get("params")
    params = params if isinstance(params, dict) else {}
    match request["method"]:
        case "initialize":
            asked = params.get("protocolVersion")
            result: Json = {
                "protocolVersion": asked if asked in _PROTOCOL_VERSIONS else _PROTOCOL_VERSIONS[0],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "clinvk", "version": __version__},
            }
        case "tools/list":
            result = {"tools": offer.definitions}
        case "ping":
            result = {}
        case "tools/call":
            return _error(request, _INVALID_PARAMS, f"unknown tool {params.get('name')!r}")
        case _:
            return _error(request, _METHOD_NOT_FOUND, "Method not found")
    return {"jsonrpc": "2.0", "id": request["id"], "result": result}


def _error(request: Json, code: int, message: str) -> Json:
    return {
        "jsonrpc": "2.0",
        "id": request["id"],
        "error": {"code": code, "message": message},
    }
