"""The smallest client of each provider: what to send and where the text is in what comes back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from aiohttp import ClientResponse

from . import (
    AnthropicProvider,
    ChatProvider,
    FakeProvider,
    GeminiProvider,
    ResponsesProvider,
)
from .recording import JsonObject

Turn = tuple[str, str]
"""`user` or `assistant`, and the text."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to speak to one provider."""

    provider: type[FakeProvider]
    request: Callable[[list[Turn], bool], tuple[str, JsonObject]]
    """Turns and whether to stream, to path and body."""
    delta: Callable[[JsonObject], str]
    """The piece of text that an event carries, or ``""``."""
    text: Callable[[JsonObject], str]
    """The text of an answer that was not streamed."""
    ended: Callable[[JsonObject], bool]
    """Whether an event is the last of a complete stream."""
    error: Callable[[JsonObject], str]
    """The message of an error body, or of an event that reports an error; else ``""``."""


async def events(response: ClientResponse) -> AsyncIterator[JsonObject]:
    """The events of a stream as they come; raises ClientPayloadError when it was cut."""
    async for line in response.content:
        if line.startswith((b"data: {", b"{")):
            yield json.loads(line.removeprefix(b"data: "))


def _anthropic_request(turns: list[Turn], stream: bool) -> tuple[str, JsonObject]:
    messages = [{"role": role, "content": text} for role, text in turns]
    body = {"model": "m", "system": "be brief", "max_tokens": 99, "messages": messages}
    return "/v1/messages?beta=true", {**body, "stream": stream}


def _responses_request(turns: list[Turn], stream: bool) -> tuple[str, JsonObject]:
    items = [("developer", "be brief"), *turns]
    messages = [
        {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}
        for role, text in items
    ]
    return "/v1/responses", {"model": "m", "input": messages, "stream": stream}


def _gemini_request(turns: list[Turn], stream: bool) -> tuple[str, JsonObject]:
    roles = {"user": "user", "assistant": "model"}
    contents = [{"role": roles[role], "parts": [{"text": text}]} for role, text in turns]
    body = {"systemInstruction": {"parts": [{"text": "be brief"}]}, "contents": contents}
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/m:{method}", body


def _chat_request(turns: list[Turn], stream: bool) -> tuple[str, JsonObject]:
    items = [("system", "be brief"), *turns]
    messages = [{"role": role, "content": text} for role, text in items]
    return "/v1/chat/completions", {"model": "m", "messages": messages, "stream": stream}


def _responses_delta(event: JsonObject) -> str:
    return event["delta"] if event["type"] == "response.output_text.delta" else ""


def _gemini_text(event: JsonObject) -> str:
    return "".join(
        part.get("text", "")
        for candidate in event.get("candidates", ())
        for part in candidate["content"]["parts"]
        if not part.get("thought")
    )


def _chat_delta(event: JsonObject) -> str:
    choices = event.get("choices")
    return choices[0]["delta"].get("content", "") if choices else ""


def _message(event: JsonObject) -> str:
    error = event.get("response", event).get("error")
    return error["message"] if error else ""


DIALECTS = {
    "anthropic": Dialect(
        AnthropicProvider,
        _anthropic_request,
        delta=lambda event: event.get("delta", {}).get("text", ""),
        text=lambda body: body["content"][0]["text"],
        ended=lambda event: event["type"] == "message_stop",
        error=_message,
    ),
    "responses": Dialect(
        ResponsesProvider,
        _responses_request,
        delta=_responses_delta,
        text=lambda body: body["output"][0]["content"][0]["text"],
        ended=lambda event: event["type"] == "response.completed",
        error=_message,
    ),
    "gemini": Dialect(
        GeminiProvider,
        _gemini_request,
        delta=_gemini_text,
        text=_gemini_text,
        ended=lambda event: "finishReason" in event["candidates"][0],
        error=_message,
    ),
    "chat": Dialect(
        ChatProvider,
        _chat_request,
        delta=_chat_delta,
        text=lambda body: body["choices"][0]["message"]["content"],
        ended=lambda event: event["choices"][0]["finish_reason"] == "stop",
        error=_message,
    ),
}
