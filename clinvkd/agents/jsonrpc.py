"""The wire under an embedded agent: JSON-RPC 2.0, one message per line, over two file descriptors.

It knows framing, requests and answers, and nothing of what the methods mean. A broken line is
answered, never fatal; only the end of the input ends a connection.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603

LINE_LIMIT = 256 * 1024 * 1024
"""Longest line that is read, in bytes: room for a prompt of several large images."""

# ASCII output keeps lone surrogates and line separators inside a string harmless on the wire.
_encode = json.JSONEncoder(separators=(",", ":")).encode


class RequestError(Exception):
    """A request that cannot be served; becomes the ``error`` member of its answer."""

    def __init__(self, code: int, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def payload(self) -> dict[str, Any]:
        """The JSON-RPC error object."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = self.data
        return error


RequestId = str | int | None


@dataclass(frozen=True, slots=True)
class Request:
    """Something the other side asks and waits for."""

    id: RequestId
    method: str
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Notification:
    """Something the other side tells without waiting."""

    method: str
    params: dict[str, Any]


class _Output(asyncio.BaseProtocol):
    """Flow control of the outgoing pipe, and word of its reader going away."""

    def __init__(self, reader_gone: Callable[[], None]) -> None:
        self.writable = asyncio.Event()
        self.writable.set()
        self._reader_gone = reader_gone

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.writable.set()
        self._reader_gone()


class Peer:
    """One end of a connection. ``receive`` handles what arrives and must not block."""

    def __init__(
        self, reader: asyncio.StreamReader, transport: asyncio.WriteTransport, output: _Output
    ) -> None:
        self._reader = reader
        self._transport = transport
        self._output = output
        self._last_call = 0
        self._calls: dict[int, asyncio.Future[Any]] = {}

    @classmethod
    async def connect(cls, input_descriptor: int, output_descriptor: int) -> Peer:
        """Take over two descriptors; both must be pipes, sockets or terminals.

        Raises ``ValueError`` for a regular file, which cannot be awaited.
        """
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=LINE_LIMIT)
        output = _Output(reader.feed_eof)
        await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(input_descriptor, "rb", 0)
        )
        transport, _ = await loop.connect_write_pipe(
            lambda: output, os.fdopen(output_descriptor, "wb", 0)
        )
        # So that `drain` returns only when everything is in the pipe.
        transport.set_write_buffer_limits(high=0)
        return cls(reader, transport, output)

    async def listen(self, receive: Callable[[Request | Notification], None]) -> None:
        """Pass every incoming message to ``receive`` until the input ends.

        Answers to our own calls are matched here; answers nobody waits for are ignored.
        """
        while True:
            try:
                line = await self._reader.readline()
            except ValueError:
                self.fail(None, RequestError(PARSE_ERROR, f"line over {LINE_LIMIT} bytes"))
                continue
            if not line.endswith(b"\n"):
                return
            if line.isspace():
                continue
            try:
                message = json.loads(line.decode())
            except (ValueError, RecursionError) as error:
                self.fail(None, RequestError(PARSE_ERROR, f"not a line of JSON: {error}"))
                continue
            try:
                self._route(message, receive)
            except RequestError as error:
                self.fail(_request_id(message), error)

    def reply(self, request_id: RequestId, result: dict[str, Any]) -> None:
        """Answer a request."""
        self._send({"jsonrpc": "2.0", "id": request_id, "result": result})

    def fail(self, request_id: RequestId, error: RequestError) -> None:
        """Answer a request with an error; id ``None`` when it could not be read."""
        self._send({"jsonrpc": "2.0", "id": request_id, "error": error.payload()})

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Tell the other side something."""
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    async def call(self, method: str, params: dict[str, Any]) -> Any:
        """Ask the other side and wait; raises its error as :class:`RequestError`."""
        self._last_call += 1
        number = self._last_call
        answer = asyncio.get_running_loop().create_future()
        self._calls[number] = answer
        try:
            self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
            return await answer
        finally:
            del self._calls[number]

    async def drain(self) -> None:
        """Wait until the pipe has taken everything: no faster than the other side reads."""
        await self._output.writable.wait()

    def _send(self, message: dict[str, Any]) -> None:
        if not self._transport.is_closing():
            self._transport.write(_encode(message).encode("ascii") + b"\n")

    def _route(self, message: Any, receive: Callable[[Request | Notification], None]) -> None:
        match message:
            case {"method": str(method), "id": str() | int() | None as request_id}:
                receive(Request(request_id, method, _parameters(message)))
            case {"method": str(method)} if "id" not in message:
                receive(Notification(method, _parameters(message)))
            case {"id": int(number), "result": result}:
                if answer := self._waiting(number):
                    answer.set_result(result)
            case {"id": int(number), "error": {"code": int(code), "message": str(text)}}:
                if answer := self._waiting(number):
                    answer.set_exception(RequestError(code, text))
            case _:
                raise RequestError(INVALID_REQUEST, "not a JSON-RPC request or answer")

    def _waiting(self, number: int) -> asyncio.Future[Any] | None:
        answer = self._calls.get(number)
        return answer if answer is not None and not answer.done() else None


def _parameters(message: dict[str, Any]) -> dict[str, Any]:
    match message.get("params"):
        case None:
            return {}
        case dict() as parameters:
            return parameters
        case _:
            raise RequestError(INVALID_REQUEST, "params must be an object")


def _request_id(message: Any) -> RequestId:
    """The id to answer a malformed request under, where it has one."""
    match message:
        case {"method": _, "id": str() | int() as request_id}:
            return request_id
        case _:
            return None
