"""Chat completions on the wire: one object, or a stream of chunks."""

from __future__ import annotations

import time
from typing import Any

from pydantic_core import to_json

from ...errors import ClinvkError
from ...events import Completed, Event, StopReason, TextDelta, ThinkingDelta, Usage
from ..dialect import Encoder, any_substance
from ..stream import EVENT_STREAM
from .wire import chat_usage, error_body, new_id

FINISH: dict[StopReason, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "max_turns": "length",
    "refusal": "content_filter",
    "interrupted": "stop",
}

DONE = b"data: [DONE]\n\n"


class ChatEncoder(Encoder[tuple[int, list[Event]]]):
    """One stream of ``chat.completion.chunk`` objects, for any number of choices.

    Args:
        model: as the caller named it.
        reasoning: tell the visible reasoning too.
        include_usage: end with a chunk that holds the usage.
        choices: how many answers are given.
    """

    content_type = EVENT_STREAM

    def __init__(
        self, model: str, *, reasoning: bool, include_usage: bool, choices: int = 1
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
            case Completed(stop_reason, usage):
                self._usage += usage
                self._open -= 1
                return self._chunk(index, {}, FINISH[stop_reason]) + self._end()
            case _:
                return b""

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


def choice_of(
    index: int, text: str, reasoning: str | None, stop_reason: StopReason
) -> dict[str, Any]:
    """One answer of a whole completion."""
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if reasoning:
        message["reasoning_content"] = reasoning
    return {
        "index": index,
        "message": message,
        "logprobs": None,
        "finish_reason": FINISH[stop_reason],
    }
