"""A response as it grows: the object, and the events that tell a stream of it.

The order of events and their members are those the official SDKs accumulate: every item is
added, filled by deltas, and done, and each event has the next ``sequence_number``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from pydantic_core import to_json

from ....errors import ClinvkError
from ....events import (
    Completed,
    Event,
    Request,
    RequestArguments,
    RequestStarted,
    StopReason,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from ...dialect import Encoder
from ...stream import EVENT_STREAM
from ..wire import error_body
from .models import ResponseRequest
from .references import item_id
from .tools import Origin, free_text, origins

_INCOMPLETE: dict[StopReason, str] = {
    "max_tokens": "max_output_tokens",
    "max_turns": "max_output_tokens",
    "refusal": "content_filter",
}


_FAILURES = {"rate_limit_error": "rate_limit_exceeded", "invalid_request_error": "invalid_prompt"}
"""Codes of a failed response by the type of the error; all others are the server's."""


class Building:
    """One response.

    Args:
        stored: whether it can be looked up later.

    Attributes:
        object: the response object as it stands.
    """

    def __init__(self, body: ResponseRequest, response_id: str, *, stored: bool) -> None:
        given = body.model_dump(
            by_alias=True, exclude_unset=True, exclude_none=True, include={"text", "reasoning"}
        )
        text, reasoning = given.get("text", {}), given.get("reasoning", {})
        self.object: dict[str, Any] = {
            "id": response_id,
            "object": "response",
            "created_at": int(time.time()),
            "status": "queued" if body.background else "in_progress",
            "background": bool(body.background),
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "max_tool_calls": None,
            "metadata": body.metadata or {},
            "model": body.model,
            "output": [],
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": body.previous_response_id,
            "prompt_cache_key": None,
            "reasoning": {"effort": None, "summary": None, **reasoning},
            "safety_identifier": None,
            "service_tier": "default",
            "store": stored,
            "temperature": body.temperature,
            "text": {"format": {"type": "text"}, **text},
            "tool_choice": body.tool_choice or "auto",
            "tools": body.tools or [],
            "top_logprobs": 0,
            "top_p": body.top_p,
            "truncation": body.truncation or "disabled",
            "usage": None,
            "user": body.user,
        }
        self._origins = origins(body.tools)
        self._tells_reasoning = bool(body.reasoning and body.reasoning.summary)
        self._pieces: list[str] = []
        self._open: dict[str, Any] | None = None
        self._sequence = 0

    def begin(self) -> bytes:
        """The first events of a stream."""
        created = self._sse({"type": "response.created", "response": self.object})
        self.object["status"] = "in_progress"
        return created + self._sse({"type": "response.in_progress", "response": self.object})

    def grow(self, events: list[Event]) -> bytes:
        """Take in what the agent told; as events of a stream."""
        return b"".join(self._sse(told) for event in events for told in self._told(event))

    def fail(self, error: ClinvkError) -> bytes:
        """The turn failed: ``response.failed``, and the ``error`` event that makes SDKs raise."""
        told = error_body(error)
        code = _FAILURES.get(told["type"], "server_error")
        self.object |= {"status": "failed", "error": {"code": code, "message": told["message"]}}
        failed = self._sse({"type": "response.failed", "response": self.object})
        # SDKs know the members one by one, and raise when there is one called `error`.
        return failed + self._sse({**told, "type": "error", "error": told})

    def cancel(self) -> None:
        """The caller does not want it any more."""
        self.object["status"] = "cancelled"

    def _sse(self, told: dict[str, Any]) -> bytes:
        data = to_json({**told, "sequence_number": self._sequence})
        self._sequence += 1
        return b"event: %s\ndata: %s\n\n" % (told["type"].encode(), data)

    def _told(self, event: Event) -> Iterator[dict[str, Any]]:
        match event:
            case TextDelta(text):
                yield from self._text(text)
            case ThinkingDelta(text) if self._tells_reasoning:
                yield from self._reasoning(text)
            case RequestStarted(identity, name):
                yield from self._close()
                yield self._add(self._origins.get(name, Origin(name)).call(identity))
            case RequestArguments(_, json):
                self._pieces.append(json)
                if self._open is not None and self._open["type"] == "function_call":
                    kind = "response.function_call_arguments.delta"
                    yield {"type": kind, **self._place(None), "delta": json}
            case Request(_, _, arguments):
                yield from self._custom_input(arguments)
                yield from self._close()
            case Completed(stop_reason, usage):
                yield from self._close("incomplete" if stop_reason in _INCOMPLETE else "completed")
                yield from self._end(stop_reason, usage)

    def _text(self, text: str) -> Iterator[dict[str, Any]]:
        if self._open is None or self._open["type"] != "message":
            yield from self._close()
            message = {"status": "in_progress", "role": "assistant", "content": []}
            yield self._add({"type": "message", **message})
            yield {"type": "response.content_part.added", **self._place(), "part": _part("")}
        self._pieces.append(text)
        yield {
            "type": "response.output_text.delta",
            **self._place(),
            "delta": text,
            "logprobs": [],
        }

    def _reasoning(self, text: str) -> Iterator[dict[str, Any]]:
        if self._open is None or self._open["type"] != "reasoning":
            yield from self._close()
            yield self._add({"type": "reasoning", "summary": []})
            part = {"type": "summary_text", "text": ""}
            yield {
                "type": "response.reasoning_summary_part.added",
                **self._place("summary_index"),
                "part": part,
            }
        self._pieces.append(text)
        yield {
            "type": "response.reasoning_summary_text.delta",
            **self._place("summary_index"),
            "delta": text,
        }

    def _custom_input(self, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The free text of a custom tool's call, whole: in the stream of arguments it is JSON."""
        if self._open is None or self._open["type"] != "custom_tool_call":
            return
        if (text := free_text(arguments)) is not None:
            self._pieces = [text]
        kind = "response.custom_tool_call_input.delta"
        yield {"type": kind, **self._place(None), "delta": "".join(self._pieces)}

    def _add(self, item: dict[str, Any]) -> dict[str, Any]:
        index = len(self.object["output"])
        self._open = {"id": item_id(item["type"], self.object["id"], index), **item}
        self._pieces = []
        return {"type": "response.output_item.added", "output_index": index, "item": self._open}

    def _close(self, status: str = "completed") -> Iterator[dict[str, Any]]:
        """End the open item; it joins the object's output."""
        item = self._open
        if item is None:
            return
        text = "".join(self._pieces)
        if item["type"] == "message":
            done, part = "response.output_text.done", _part(text)
            yield {"type": done, **self._place(), "text": text, "logprobs": []}
            yield {"type": "response.content_part.done", **self._place(), "part": part}
            item |= {"content": [part], "status": status}
        elif item["type"] == "function_call":
            done = "response.function_call_arguments.done"
            yield {"type": done, **self._place(None), "name": item["name"], "arguments": text}
            item |= {"arguments": text, "status": status}
        elif item["type"] == "custom_tool_call":
            done = "response.custom_tool_call_input.done"
            yield {"type": done, **self._place(None), "input": text}
            item |= {"input": text, "status": status}
        else:
            place = self._place("summary_index")
            part = {"type": "summary_text", "text": text}
            yield {"type": "response.reasoning_summary_text.done", **place, "text": text}
            yield {"type": "response.reasoning_summary_part.done", **place, "part": part}
            item["summary"] = [part]
        index = len(self.object["output"])
        self.object["output"].append(item)
        self._open = None
        yield {"type": "response.output_item.done", "output_index": index, "item": item}

    def _end(self, stop_reason: StopReason, usage: Usage) -> Iterator[dict[str, Any]]:
        self.object["usage"] = _usage(usage)
        reason = _INCOMPLETE.get(stop_reason)
        status = "completed" if reason is None else "incomplete"
        self.object["status"] = status
        self.object["completed_at"] = int(time.time()) if reason is None else None
        self.object["incomplete_details"] = None if reason is None else {"reason": reason}
        yield {"type": f"response.{status}", "response": self.object}

    def _place(self, part: str | None = "content_index") -> dict[str, Any]:
        assert self._open is not None
        place = {"item_id": self._open["id"], "output_index": len(self.object["output"])}
        return place if part is None else {**place, part: 0}


class ResponseEncoder(Encoder[tuple[bool, bytes]]):
    """Passes on what a `Building` told; the flag says whether it is of substance."""

    content_type = EVENT_STREAM

    def __init__(self, building: Building) -> None:
        self._building = building

    def feed(self, batch: tuple[bool, bytes]) -> bytes:
        """The events as they were told."""
        return batch[1]

    def substantial(self, batch: tuple[bool, bytes]) -> bool:
        """Whether the agent has begun to answer."""
        return batch[0]

    def fail(self, error: ClinvkError) -> bytes:
        """The stream's end when the turn failed."""
        return self._building.fail(error)


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
