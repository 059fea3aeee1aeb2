"""A turn told in the grammar of the Messages API.

Where the agent passes the provider's own events on, they are told as they came, without what the
agent added by itself: its own tools, and reasoning nobody asked for. Elsewhere the same grammar is
built: ``message_start``, blocks with start, deltas and stop, ``message_delta``, ``message_stop``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...events import (
    Completed,
    Event,
    MessagesApiEvent,
    Request,
    RequestArguments,
    RequestStarted,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from .wire import STOP_REASONS, new_id, usage_of

Told = dict[str, Any]
"""One event of the stream."""


class Narration:
    """One message.

    Args:
        model: as the caller named it.
        thinking: tell the reasoning.
        input_tokens: estimate for the beginning, when nobody knows better.

    Attributes:
        message: the message as far as it has come; whole after the end.
    """

    def __init__(self, model: str, *, thinking: bool, input_tokens: int) -> None:
        self._model = model
        self._thinking = thinking
        self._estimate = Usage(input_tokens=input_tokens)
        self.message: Told = {}
        self._passed = 0  # messages of the provider that have begun
        self._passed_text = False
        self._open: str | None = None
        self._pieces: list[str] = []
        self._indexes: dict[int, int] = {}
        self._last_delta: Told | None = None

    def tell(self, event: Event) -> Iterator[Told]:
        """What `event` is in the grammar; nothing when it says nothing new."""
        match event:
            case MessagesApiEvent(raw):
                yield from self._pass_on(raw)
            case Completed():
                yield from self._end(event)
            case TextDelta(text) if not self._passed_text:
                # Also what the agent says by itself after an empty message of the provider.
                yield from self._block("text", {"type": "text", "text": ""})
                yield self._delta({"type": "text_delta", "text": text})
            case ThinkingDelta(text) if self._thinking and not self._passed:
                block = {"type": "thinking", "thinking": "", "signature": ""}
                yield from self._block("thinking", block)
                yield self._delta({"type": "thinking_delta", "thinking": text})
            # Calls of the caller's tools are always built: the agent has them under its own names.
            case RequestStarted(identity, name):
                yield from self._begin()
                yield from self._close()
                self._open = "tool_use"
                yield self._start({"type": "tool_use", "id": identity, "name": name, "input": {}})
            case RequestArguments(_, json):
                yield self._delta({"type": "input_json_delta", "partial_json": json})
            case Request(_, _, arguments):
                self.message["content"][-1]["input"] = arguments
                yield from self._close()

    # Built.

    def _begin(self, message: Told | None = None) -> Iterator[Told]:
        if self.message:
            return
        self.message = message or {
            "id": new_id(),
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**usage_of(self._estimate), "output_tokens": 1},
        }
        yield {"type": "message_start", "message": {**self.message, "content": []}}

    def _block(self, kind: str, block: Told) -> Iterator[Told]:
        yield from self._begin()
        if self._open == kind:
            return
        yield from self._close()
        self._open = kind
        yield self._start(block)

    def _start(self, block: Told) -> Told:
        content = self.message["content"]
        content.append(dict(block))
        return {"type": "content_block_start", "index": len(content) - 1, "content_block": block}

    def _delta(self, delta: Told) -> Told:
        self._grow(delta)
        index = len(self.message["content"]) - 1
        return {"type": "content_block_delta", "index": index, "delta": delta}

    def _close(self) -> Iterator[Told]:
        if self._open is not None:
            self._fill()
            yield {"type": "content_block_stop", "index": len(self.message["content"]) - 1}

    def _grow(self, delta: Told) -> None:
        match delta:
            case {"type": "text_delta", "text": str(text)}:
                self._pieces.append(text)
            case {"type": "thinking_delta", "thinking": str(text)}:
                self._pieces.append(text)
            case {"type": "signature_delta", "signature": str(text)}:
                self.message["content"][-1]["signature"] = text

    def _fill(self) -> None:
        """The open block is complete: its pieces become its text."""
        if self._open in ("text", "thinking"):
            self.message["content"][-1][self._open] += "".join(self._pieces)
        self._pieces.clear()
        self._open = None

    def _end(self, completed: Completed) -> Iterator[Told]:
        yield from self._begin()
        yield from self._close()
        end = self._own_end(completed)
        self.message |= end["delta"]
        self.message["usage"] = {**self.message["usage"], **end["usage"]}
        yield end
        yield {"type": "message_stop"}

    def _own_end(self, completed: Completed) -> Told:
        """The provider's own end of the message, with figures nobody else has, if it fits."""
        reason = STOP_REASONS[completed.stop_reason]
        usage = usage_of(completed.usage)
        told = self._last_delta
        if told is not None and _neutral(told["delta"]["stop_reason"]) == reason:
            # What several messages cost together the last one does not tell.
            return told if self._passed == 1 else {**told, "usage": usage}
        delta = {"stop_reason": reason, "stop_sequence": completed.stop_sequence}
        return {"type": "message_delta", "delta": delta, "usage": usage}

    # Passed on.

    def _pass_on(self, event: Told) -> Iterator[Told]:
        match event:
            case {"type": "message_start", "message": dict(message)}:
                self._passed += 1
                self._indexes.clear()
                yield from self._begin({**message, "content": []})
            case {"type": "content_block_start", "index": int(index), "content_block": block}:
                if self._keeps(block["type"]):
                    yield from self._close()
                    self._open = block["type"]
                    started = self._start(block)
                    self._indexes[index] = started["index"]
                    yield {**event, "index": started["index"]}
            case {"type": "content_block_delta", "index": int(index), "delta": dict(delta)}:
                self._passed_text = self._passed_text or delta.get("type") == "text_delta"
                if (ours := self._indexes.get(index)) is not None:
                    self._grow(delta)
                    yield {**event, "index": ours}
            case {"type": "content_block_stop", "index": int(index)}:
                if (ours := self._indexes.pop(index, None)) is not None:
                    self._fill()
                    yield {**event, "index": ours}
            case {"type": "message_delta", "delta": {"stop_reason": str()}, "usage": dict()}:
                self._last_delta = event

    def _keeps(self, kind: str) -> bool:
        match kind:
            case "text":
                return True
            case "thinking" | "redacted_thinking":
                return self._thinking
            case _:
                return False


def _neutral(stop_reason: str) -> str:
    """The reason that drivers give for one of the provider's."""
    return "max_tokens" if stop_reason == "model_context_window_exceeded" else stop_reason
