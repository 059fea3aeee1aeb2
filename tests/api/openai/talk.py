"""A caller of the OpenAI dialect, and what every answer of it must look like."""

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
from ..service import Answer, Service, eventually, sse_events

PREFIX = "/openai/v1"
CHAT = "/chat/completions"

ECHO = [sys.executable, "-m", "clinvkd.agents.echo"]
BACKENDS: dict[str, Any] = {
    # Echo as an agent that knows neither stop texts nor limits: clinvk makes them true.
    "plain": {"driver": "acp", "command": ECHO, "quirks": {"history": "flattened"}},
    "picky": {"driver": "acp", "command": ECHO, "quirks": {"any_model": False}},
    "narrow": {"driver": "acp", "command": ECHO, "pool": {"agents": 1, "conversations": 1}},
}

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
"""One pixel, in base64."""

CHAT_USAGE = {
    "prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details",
    "completion_tokens_details",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class OpenAI:
    """A running application, asked as OpenAI is."""

    service: Service

    async def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request and read the whole answer; `body` may be bytes."""
        data = None
        headers = dict(headers or {})
        if body is not None:
            data = BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
            headers.setdefault("Content-Type", "application/json")
        request = self.service.client.request(method, PREFIX + path, data=data, headers=headers)
        async with request as response:
            answer = await Answer.of(response)
        assert "X-Request-Id" in answer.headers
        return answer

    async def post(self, path: str, **body: Any) -> Answer:
        """Ask echo, unless another model is named."""
        return await self.request("POST", path, {"model": "echo", **body})

    async def json(self, path: str, **body: Any) -> Any:
        """As `post`; it must succeed."""
        answer = await self.post(path, **body)
        assert answer.status == 200, answer.text
        return answer.json

    async def get(self, path: str) -> Any:
        """The JSON at a path, which must be there."""
        answer = await self.request("GET", path)
        assert answer.status == 200, answer.text
        return answer.json

    async def chat(self, messages: str | list[Any], **body: Any) -> Any:
        """A whole chat completion, checked."""
        completion = await self.json(CHAT, messages=said(messages), **body)
        check_completion(completion)
        return completion

    async def text(self, messages: str | list[Any], **body: Any) -> str:
        """The text of the only choice of a chat."""
        return content(await self.chat(messages, **body))

    async def held(self, messages: list[Any], **body: Any) -> Any:
        """What the agent holds when these messages are followed by ``[[history]]``."""
        return json.loads(await self.text([*messages, user("[[history]]")], **body))

    async def chunks(self, path: str, **body: Any) -> list[dict[str, Any]]:
        """The chunks of a stream that ends well."""
        answer = await self.post(path, stream=True, **body)
        assert answer.status == 200, answer.text
        return chunks_of(answer)

    async def refused(self, path: str, param: str | None, **body: Any) -> dict[str, Any]:
        """The error of a request that must be refused, naming `param`."""
        answer = await self.post(path, **body)
        error = error_of(answer)
        assert (answer.status, error["type"]) == (400, "invalid_request_error"), answer.text
        assert error["param"] == param, error
        return error

    async def response(self, given: Any, **body: Any) -> Any:
        """A whole response."""
        return await self.json("/responses", input=given, **body)

    async def ended(self, name: str) -> Any:
        """A background response, once it runs no more."""
        found: list[Any] = []

        async def over() -> bool:
            found[:] = [await self.get(f"/responses/{name}")]
            return found[0]["status"] not in ("queued", "in_progress")

        await eventually(over)
        return found[0]

    def ways(self, backend: str = "echo") -> dict[str, int]:
        """How the backend's turns found their conversations so far."""
        return {str(way): count for way, count in self.service.figures(backend).turns.items()}


@asynccontextmanager
async def serving(folder: Path, **sections: Any) -> AsyncIterator[OpenAI]:
    """The application with these sections of its configuration."""
    async with service.serving(folder, **sections) as running:
        yield OpenAI(running)


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def said(messages: str | list[Any]) -> list[Any]:
    return [user(messages)] if isinstance(messages, str) else messages


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def content(completion: Any) -> str:
    (choice,) = completion["choices"]
    return str(choice["message"]["content"])


def error_of(answer: Answer) -> dict[str, Any]:
    """The error, which must have OpenAI's envelope."""
    assert answer.headers["Content-Type"].startswith("application/json")
    return check_error(answer.json)


def check_error(body: Any) -> dict[str, Any]:
    assert set(body) == {"error"}
    error = body["error"]
    assert isinstance(error, dict)
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return error


def chunks_of(answer: Answer) -> list[dict[str, Any]]:
    """The chunks before ``[DONE]``, which must end the stream."""
    assert answer.headers["Content-Type"] == "text/event-stream"
    text, done, rest = answer.text.partition("data: [DONE]\n\n")
    assert (done, rest) == ("data: [DONE]\n\n", ""), answer.text[-500:]
    return sse_events(text)


def told(chunks: list[dict[str, Any]], index: int = 0, member: str = "content") -> str:
    """The text of all deltas of one choice."""
    return "".join(
        choice["delta"].get(member) or ""
        for chunk in chunks
        for choice in chunk["choices"]
        if choice["index"] == index
    )


def finishes(chunks: list[dict[str, Any]]) -> dict[int, str]:
    """Why each choice ended; each says so once, in its last chunk."""
    ended: dict[int, str] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            assert choice["index"] not in ended
            if choice["finish_reason"] is not None:
                ended[choice["index"]] = choice["finish_reason"]
    return ended


def check_completion(completion: Any) -> None:
    """The form of a ``chat.completion``, as the official types have it."""
    assert set(completion) == {
        "id", "object", "created", "model", "choices", "usage", "system_fingerprint",
    }  # fmt: skip
    assert completion["id"].startswith("chatcmpl-")
    assert completion["object"] == "chat.completion"
    assert isinstance(completion["created"], int)
    for index, choice in enumerate(completion["choices"]):
        assert set(choice) == {"index", "message", "logprobs", "finish_reason"}
        assert choice["index"] == index
        assert choice["finish_reason"] in ("stop", "length", "content_filter")
        message = choice["message"]
        assert {"role", "content", "refusal"} <= set(message)
        assert set(message) <= {"role", "content", "refusal", "reasoning_content"}
        assert (message["role"], message["refusal"]) == ("assistant", None)
    check_usage(completion["usage"])


def check_usage(usage: Any) -> None:
    assert set(usage) == CHAT_USAGE
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
