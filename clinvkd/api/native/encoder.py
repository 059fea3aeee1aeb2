"""The unified events of the native API, as server-sent events or as lines of JSON.

    {"type","backend","session_id"?,"timestamp","sequence","content"?}

``message`` comes once per delta, ``error`` when the turn fails, ``complete`` exactly once and
last; beside them ``init``, ``thinking``, ``tool_use``, ``tool_result``, ``progress`` and
``token_usage``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json

from ...engine import AnyTurn
from ...errors import ClinvkError
from ...events import (
    Completed,
    Event,
    MessagesApiEvent,
    Opened,
    Progress,
    Request,
    RequestArguments,
    RequestStarted,
    TextDelta,
    ThinkingDelta,
    TokenUsage,
    ToolCall,
    ToolOutput,
)
from ..dialect import Encoder, any_substance
from ..stream import EVENT_STREAM
from .models import usage_content


class NativeEncoder(Encoder[list[Event]]):
    """One stream of unified events.

    Args:
        turn: whose events they are.
        session_id: ours, or None when the turn is not kept.
        content_type: ``text/event-stream`` or ``application/x-ndjson``.
    """

    def __init__(self, turn: AnyTurn, session_id: str | None, content_type: str) -> None:
        self.content_type = content_type
        self._turn = turn
        self._sequence = 0
        before, self._after = (b"data: ", b"\n\n") if content_type == EVENT_STREAM else (b"", b"\n")
        common = b',"backend":' + to_json(turn.prompt.backend)
        if session_id is not None:
            common += b',"session_id":' + to_json(session_id)
        common += b',"timestamp":"'
        self._open = before + b'{"type":'
        self._common = common
        self._message = self._open + b'"message"' + common

    def feed(self, events: list[Event]) -> bytes:
        """The unified events of a list of events; a text delta costs no dict."""
        now = _now()
        parts: list[bytes] = []
        for event in events:
            if type(event) is TextDelta:
                self._sequence += 1
                parts += (
                    self._message,
                    now,
                    b'","sequence":%d,"content":{"text":' % self._sequence,
                    to_json(event.text),
                    b"}}",
                    self._after,
                )
            elif (told := self._content(event)) is not None:
                parts.append(self._event(now, *told))
        return b"".join(parts)

    def substantial(self, events: list[Event]) -> bool:
        """Anything but the notice that the agent is at it."""
        return any_substance(events)

    def fail(self, error: ClinvkError) -> bytes:
        """``error``, then ``complete`` with exit code 1."""
        now = _now()
        return self._event(now, "error", error_content(error)) + self._event(
            now, "complete", {"exit_code": 1, "duration_ms": self._duration()}
        )

    def _event(self, now: bytes, kind: str, content: dict[str, Any]) -> bytes:
        self._sequence += 1
        return b"".join(
            (
                self._open,
                to_json(kind),
                self._common,
                now,
                b'","sequence":%d,"content":' % self._sequence,
                to_json(content),
                b"}",
                self._after,
            )
        )

    def _content(self, event: Event) -> tuple[str, dict[str, Any]] | None:
        """Type and content of an event, or None when this dialect does not tell it."""
        match event:
            case Opened(agent_session_id, model):
                return "init", _given(
                    model=model,
                    backend_session_id=agent_session_id,
                    working_dir=str(self._turn.prompt.workdir or "") or None,
                )
            case ThinkingDelta(text):
                return "thinking", {"text": text}
            case ToolCall(id_, name, input_) | Request(id_, name, input_):
                return "tool_use", {"tool_id": id_, "tool_name": name, "input": input_}
            case ToolOutput(id_, name, output, is_error):
                return "tool_result", {
                    "tool_id": id_,
                    "tool_name": name,
                    "output": output,
                    "is_error": is_error,
                }
            case Progress(stage, message):
                return "progress", _given(stage=stage, message=message)
            case TokenUsage(usage):
                return "token_usage", usage_content(usage)
            case Completed(stop_reason, usage, cost):
                return "complete", {
                    "exit_code": 0,
                    "stop_reason": stop_reason,
                    "duration_ms": self._duration(),
                    "token_usage": usage_content(usage),
                    **_given(cost_usd=cost),
                }
            case TextDelta(text):
                return "message", {"text": text}
            case MessagesApiEvent() | RequestStarted() | RequestArguments():
                return None

    def _duration(self) -> int:
        return round(self._turn.seconds * 1000)


def error_content(error: ClinvkError) -> dict[str, Any]:
    """An error as the native API tells it, in a body or in a stream."""
    return {
        "code": error.code,
        "message": error.message,
        "param": error.param,
        "type": error.type,
    }


def _given(**members: object) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _now() -> bytes:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()
