"""JSON-RPC as the app-server of codex and the Agent Client Protocol speak it: ids and owners.

One `Peer` per process numbers our requests and remembers whose each answer is, so that many
conversations can share one pipe.
"""

from __future__ import annotations

import itertools
from typing import Generic, TypeVar

from .base import RECEIVE, Exchange, Json, Send

METHOD_NOT_FOUND = -32601

_Owner = TypeVar("_Owner")


class RpcError(Exception):
    """The agent answered a call with an error.

    Attributes:
        code: the JSON-RPC error code (some agents put an HTTP status there).
        message: the agent's text.
        data: whatever came beside it, or None.
    """

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data


class Peer(Generic[_Owner]):
    """Our side of one JSON-RPC connection.

    Args:
        envelope: members every message carries (ACP wants ``{"jsonrpc": "2.0"}``, codex none).
    """

    def __init__(self, envelope: Json) -> None:
        self._envelope = envelope
        self._ids = itertools.count(1)
        self._owners: dict[int, tuple[_Owner, str]] = {}

    def request(
        self, owner: _Owner, method: str, params: Json, **members: object
    ) -> tuple[int, Send]:
        """A new request whose answer belongs to `owner`; `members` stand beside the method."""
        number = next(self._ids)
        self._owners[number] = (owner, method)
        message = {**self._envelope, "id": number, "method": method, "params": params, **members}
        return number, Send(message)

    def notify(self, method: str, params: Json | None = None) -> Send:
        """A message that gets no answer."""
        members: Json = (
            {"method": method} if params is None else {"method": method, "params": params}
        )
        return Send({**self._envelope, **members})

    def answer(self, request: Json, result: object) -> Send:
        """The answer to one of the agent's own requests."""
        return Send({**self._envelope, "id": request["id"], "result": result})

    def refuse(self, request: Json, code: int, message: str) -> Send:
        """The error answer to one of the agent's own requests."""
        return Send(
            {**self._envelope, "id": request["id"], "error": {"code": code, "message": message}}
        )

    def claim(self, message: Json) -> tuple[_Owner, str] | None:
        """Owner and method of the request that `message` answers; None when it is no answer."""
        if "method" in message or not isinstance(number := message.get("id"), int):
            return None
        return self._owners.pop(number, None)

    def forget(self, owner: _Owner) -> None:
        """Answers still to come for `owner` belong to nobody any more."""
        for number in [n for n, (whose, _) in self._owners.items() if whose is owner]:
            del self._owners[number]


def result_of(message: Json) -> Json:
    """The result of an answer. Raises RpcError when it is an error."""
    match message:
        case {"error": {"code": int(code), "message": str(text), **rest}}:
            raise RpcError(code, text, rest.get("data"))
        case {"error": error}:
            raise RpcError(0, str(error))
        case {"result": dict(result)}:
            return result
        case _:
            return {}


def is_answer(message: Json, number: int) -> bool:
    """Whether `message` answers our request `number`."""
    return message.get("id") == number and "method" not in message


def plain_call(peer: Peer[_Owner], owner: _Owner, method: str, params: Json) -> Exchange[Json]:
    """Call and wait, ignoring everything else that comes; for handshakes."""
    number, send = peer.request(owner, method, params)
    yield send
    while not is_answer(message := (yield RECEIVE), number):
        pass
    return result_of(message)
