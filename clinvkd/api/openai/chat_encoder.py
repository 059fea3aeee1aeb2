"""Chat completions on the wire: one object, or a stream of chunks."""

from __future__ import annotations

import time
from typing import Any

from pydantic_core import to_json

from ...errors import ClinvkError
from ...events import (
    Completed,
    Event,
    RequestArguments,
    RequestStarted,
    StopReason,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from ..answers import Answer
from ..dialect import Encoder, any_substance
from ..stream import EVENT_STREAM
from .tools import call_object
from .wire import chat_usage, error_body, new_id

FINISH: dict[StopReason, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "max_turns": "length",
    "refusal": "content_filter",
    "tool_use": "tool_calls",
    "interrupted": "stop",
}

DONE = b"data: [DONE]\n\n"


class ChatEncoder(Encoder[tuple[int, list[Event]]]):
    """One stream of ``chat.completion.chunk`` objects, for any number of choices.

    Args:
        model: as the caller named it.
        reasoning: tell the visible reasoning too.
        legacy: tell a call as ``function_call``.
        include_usage: end with a chunk that holds the usage.
        choices: how many answers are given.
    """

    content_type = EVENT_STREAM

    def __init__(
        self,
        model: str,
        *,
        reasoning: bool,
        include_usage: bool,
        choices: int = 1,
        legacy: bool = False,
    ) -> None:
        head = {
            "id": new_id("chatcmpl-"),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": None,
        }
        self._head = b"data: " + to_json(head)[:-1] + b',"choices":['
        self._after = b',"usage":null}\n\n' if include_usage else b"}\n\n"
        self._reasoning = reasoning
        self._include_usage = include_usage
        self._legacy = legacy
        self._calls: list[dict[str, int]] = [{} for _ in range(choices)]
        self._begun: set[int] = set()
        self._open = choices
        self._usage = Usage()
        self._text = [
            self._head + b'{"index":%d,"delta":{"content":' % index for index in range(choices)
        ]
        self._text_end = b'},"logprobs":null,"finish_reason":null}]' + self._after

    def feed(self, batch: tuple[int, list[Event]]) -> bytes:
        """The chunks of a list of events of one choice."""
        index, events = batch
        parts: list[bytes] = []
        if index not in self._begun:
            self._begun.add(index)
            delta = {"role": "assistant", "content": "", "refusal": None}
            parts.append(self._chunk(index, delta, None))
        for event in events:
            if type(event) is TextDelta:
                parts += (self._text[index], to_json(event.text), self._text_end)
            else:
                parts.append(self._other(event, index))
        return b"".join(parts)

    def substantial(self, batch: tuple[int, list[Event]]) -> bool:
        """Anything but the notice that the agent is at it."""
        return any_substance(batch[1])

    def fail(self, error: ClinvkError) -> bytes:
        """The stream's end when a turn failed."""
        return b"data: " + to_json({"error": error_body(error)}) + b"\n\n"

    def _other(self, event: Event, index: int) -> bytes:
        match event:
            case ThinkingDelta(text) if self._reasoning:
                return self._chunk(index, {"reasoning_content": text}, None)
            case RequestStarted(identity, name):
                self._calls[index][identity] = len(self._calls[index])
                function = {"name": name, "arguments": ""}
                return self._call(index, identity, function, id=identity, type="function")
            case RequestArguments(identity, json):
                return self._call(index, identity, {"arguments": json})
            case Completed(stop_reason, usage):
                self._usage += usage
                self._open -= 1
                return (
                    self._chunk(index, {}, finish_reason(stop_reason, self._legacy)) + self._end()
                )
            case _:
                return b""

    def _call(self, index: int, identity: str, function: dict[str, str], **more: str) -> bytes:
        place = self._calls[index][identity]
        if self._legacy:  # which has room for one call
            return b"" if place else self._chunk(index, {"function_call": function}, None)
        call = {"index": place, **more, "function": function}
        return self._chunk(index, {"tool_calls": [call]}, None)

    def _end(self) -> bytes:
        if self._open:
            return b""
        if not self._include_usage:
            return DONE
        return self._head + b'],"usage":' + to_json(chat_usage(self._usage)) + b"}\n\n" + DONE

    def _chunk(self, index: int, delta: dict[str, Any], finish: str | None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._head + to_json(choice) + b"]" + self._after


def completion(model: str, choices: list[dict[str, Any]], usage: Usage) -> dict[str, Any]:
    """A whole ``chat.completion``."""
    return {
        "id": new_id("chatcmpl-"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": choices,
        "usage": chat_usage(usage),
        "system_fingerprint": None,
    }


def finish_reason(stop_reason: StopReason, legacy: bool) -> str:
    """Why a choice ended, as chat completions call it."""
    return "function_call" if legacy and stop_reason == "tool_use" else FINISH[stop_reason]


def choice_of(index: int, answer: Answer, *, reasoning: bool, legacy: bool) -> dict[str, Any]:
    """One answer of a whole completion."""
    text: str | None = answer.text
    if answer.calls and not text:
        text = None
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if reasoning and answer.thinking:
        message["reasoning_content"] = answer.thinking
    calls = [call_object(call) for call in answer.calls]
    if calls and legacy:
        message["function_call"] = calls[0]["function"]
    elif calls:
        message["tool_calls"] = calls
    return {
        "index": index,
        "message": message,
        "logprobs": None,
        "finish_reason": finish_reason(answer.completed.stop_reason, legacy),
    }
