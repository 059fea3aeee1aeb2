"""A caller of the Anthropic dialect, and what every answer of it must look like."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from .. import service
from ..service import Answer, Service

PREFIX = "/anthropic/v1"
MESSAGES = "/messages"

ECHO = [sys.executable, "-m", "clinvkd.agents.echo"]
BACKENDS: dict[str, Any] = {
    # Echo as an agent that knows neither stop texts nor limits: clinvk makes them true.
    "plain": {"driver": "acp", "command": ECHO, "quirks": {"history": "flattened"}},
}

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
"""One pixel, in base64."""

_DELTAS = {"text": "text_delta", "thinking": "thinking_delta"}


@dataclass(frozen=True, slots=True)
class Anthropic:
    """A running application, asked as Anthropic is."""

    service: Service

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        prefix: str = PREFIX,
    ) -> Answer:
        """Send one request and read the whole answer; `body` may be bytes."""
        data = None
        headers = dict(headers or {})
        if body is not None:
            data = BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
            headers.setdefault("Content-Type", "application/json")
        request = self.service.client.request(method, prefix + path, data=data, headers=headers)
        async with request as response:
            answer = await Answer.of(response)
        assert answer.headers["request-id"]
        return answer

    async def post(self, messages: str | list[Any], **body: Any) -> Answer:
        """Ask echo for a message, unless another model is named."""
        whole = {"model": "echo", "max_tokens": 1000, "messages": said(messages), **body}
        return await self.request("POST", MESSAGES, whole)

    async def message(self, messages: str | list[Any], **body: Any) -> dict[str, Any]:
        """A whole message, checked."""
        answer = await self.post(messages, **body)
        assert answer.status == 200, answer.text
        return check_message(answer.json)

    async def text(self, messages: str | list[Any], **body: Any) -> str:
        """The text of an answer."""
        return text_of(await self.message(messages, **body))

    async def held(self, messages: list[Any], **body: Any) -> Any:
        """What the agent holds before the last message: ``[[history]]``."""
        return json.loads(await self.text([*messages, user("[[history]]")], **body))

    async def turns(self, messages: list[Any], **body: Any) -> list[tuple[str, str]]:
        """Role and text of the messages that the agent holds before the last one."""
        held = (await self.held(messages, **body))["history"]
        return [(one["role"], "".join(part["text"] for part in one["content"])) for one in held]

    async def stream(self, messages: str | list[Any], **body: Any) -> Stream:
        """A stream whose grammar is right."""
        answer = await self.post(messages, stream=True, **body)
        assert answer.status == 200, answer.text
        return Stream.of(answer)

    async def refused(self, param: str, messages: str | list[Any] = "hi", **body: Any) -> str:
        """The message of a request that must be refused because of a field."""
        answer = await self.post(messages, **body)
        error = error_of(answer)
        assert (answer.status, error["type"]) == (400, "invalid_request_error"), answer.text
        assert error["message"].startswith(param), error
        return str(error["message"])

    def ways(self, backend: str = "echo") -> dict[str, int]:
        """How the backend's turns found their conversations so far."""
        return {str(way): count for way, count in self.service.figures(backend).turns.items()}


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream that kept the grammar.

    Attributes:
        events: all of them, pings left out.
        message: what they add up to.
        error: the in-stream error that ended it, or None.
    """

    events: list[dict[str, Any]]
    message: dict[str, Any]
    error: dict[str, Any] | None

    @classmethod
    def of(cls, answer: Answer) -> Stream:
        assert answer.headers["Content-Type"] == "text/event-stream"
        return cls.read(answer.text)

    @classmethod
    def read(cls, text: str) -> Stream:
        events = [event for event in named_events(text) if event["type"] != "ping"]
        return cls(events, *add_up(events))

    @property
    def text(self) -> str:
        return text_of(self.message)

    @property
    def kinds(self) -> list[str]:
        """The kinds of events, repetitions left out."""
        kinds: list[str] = []
        for event in self.events:
            kind = event["type"].removeprefix("content_block_")
            if kinds[-1:] != [kind]:
                kinds.append(kind)
        return kinds


def named_events(text: str) -> list[dict[str, Any]]:
    """The events of a stream, each of which has the name that its data tells."""
    assert not text or text.endswith("\n\n")
    events = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def add_up(events: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The message that events add up to, and the error in their place; checks their order."""
    message: dict[str, Any] = {}
    opened: int | None = None
    ended = False
    for event in events:
        assert not ended, f"after the end: {event}"
        match event:
            case {"type": "error", "error": dict(error)}:
                assert event is events[-1]
                return message, error
            case {"type": "message_start", "message": dict(begun)}:
                assert not message
                message = {**begun, "content": []}
                assert (begun["content"], begun["stop_reason"]) == ([], None)
            case {"type": "content_block_start", "index": index, "content_block": dict(block)}:
                assert (opened, index) == (None, len(message["content"]))
                opened = index
                message["content"].append(dict(block))
            case {"type": "content_block_delta", "index": index, "delta": dict(delta)}:
                assert index == opened
                _grow(message["content"][index], delta)
            case {"type": "content_block_stop", "index": index}:
                assert index == opened
                opened = None
            case {"type": "message_delta", "delta": dict(delta), "usage": dict(usage)}:
                assert (opened, message["stop_reason"]) == (None, None)
                message |= {**delta, "usage": message["usage"] | usage}
            case {"type": "message_stop"}:
                assert message["stop_reason"] is not None
                ended = True
            case _:
                raise AssertionError(f"not in the grammar: {event}")
    assert ended, "the stream has no end"
    return message, None


def _grow(block: dict[str, Any], delta: dict[str, Any]) -> None:
    match delta:
        case {"type": "signature_delta", "signature": str(signature)}:
            block["signature"] = signature
        case {"type": kind}:
            name = block["type"]
            assert kind == _DELTAS[name]
            assert delta[name]
            block[name] += delta[name]


def check_message(message: dict[str, Any]) -> dict[str, Any]:
    """The form of a message, as the official types have it."""
    assert set(message) == {
        "id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage",
    }  # fmt: skip
    assert message["id"].startswith("msg_")
    assert (message["type"], message["role"]) == ("message", "assistant")
    assert message["stop_reason"]
    usage = message["usage"]
    assert all(
        isinstance(usage[name], int)
        for name in (
            "input_tokens", "output_tokens", "cache_read_input_tokens",
            "cache_creation_input_tokens",
        )
    )  # fmt: skip
    return message


def text_of(message: dict[str, Any]) -> str:
    return "".join(block["text"] for block in message["content"] if block["type"] == "text")


def error_of(answer: Answer) -> dict[str, Any]:
    """The error, which must have Anthropic's envelope."""
    body = answer.json
    assert set(body) == {"type", "error", "request_id"}
    assert body["type"] == "error"
    assert body["request_id"] == answer.headers["request-id"]
    error = body["error"]
    assert set(error) <= {"type", "message", "details"}
    assert error["message"]
    return dict(error)


@asynccontextmanager
async def serving(folder: Path, **sections: Any) -> AsyncIterator[Anthropic]:
    """The application with these sections of its configuration."""
    async with service.serving(folder, **sections) as running:
        yield Anthropic(running)


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def said(messages: str | list[Any]) -> list[Any]:
    return [user(messages)] if isinstance(messages, str) else messages


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def image(data: str = PNG, media_type: str = "image/png") -> dict[str, Any]:
    source = {"type": "base64", "media_type": media_type, "data": data}
    return {"type": "image", "source": source}


def document(source: Any, **more: Any) -> dict[str, Any]:
    return {"type": "document", "source": source, **more}
