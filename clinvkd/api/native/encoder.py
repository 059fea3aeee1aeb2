"""The unified events of the native API, as server-sent events or as lines of JSON.

    {"type","backend","session_id"?,"timestamp","sequence","content"?}

``message`` comes once per delta, ``error`` when the turn fails, ``complete`` exactly once and
last; beside them ``init``, ``thinking``, ``tool_use``, ``tool_result``, ``approval_request``,
``approval_decision``, ``progress`` and ``token_usage``. Events of several prompts in one stream
also say whose they are (``task``, ``step``, ``judge``), and after the last of them comes one
``result`` with the whole answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from pydantic import JsonValue
from pydantic_core import to_json

from ...errors import ClinvkError
from ...events import (
    ApprovalDecision,
    ApprovalRequest,
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
from ...prompt import Prompt
from ..dialect import Encoder, any_substance
from ..stream import EVENT_STREAM
from .models import usage_content

_NO_TAG: Mapping[str, JsonValue] = MappingProxyType({})


class Writing:
    """How events are written in one stream.

    Attributes:
        content_type: ``text/event-stream`` or ``application/x-ndjson``.
        before, after: what stands around the JSON of an event.
        sequence: number of the last event; from 1.
    """

    def __init__(self, content_type: str) -> None:
        self.content_type = content_type
        sse = content_type == EVENT_STREAM
        self.before, self.after = (b"data: ", b"\n\n") if sse else (b"", b"\n")
        self.sequence = 0

    def event(self, kind: str, content: object) -> bytes:
        """An event that is about no single prompt."""
        self.sequence += 1
        told = {"type": kind, "timestamp": _now().decode(), "sequence": self.sequence}
        return self.before + to_json({**told, "content": content}) + self.after


class NativeEncoder(Encoder[list[Event]]):
    """The unified events of one prompt.

    Args:
        prompt: whose they are.
        seconds: tells how long it has run.
        session_id: ours, or None when the turn is not kept.
        writing: of the stream, shared by all that write into it.
        tag: further members of every event.
    """

    def __init__(
        self,
        prompt: Prompt,
        seconds: Callable[[], float],
        session_id: str | None,
        writing: Writing,
        tag: Mapping[str, JsonValue] = _NO_TAG,
    ) -> None:
        self.content_type = writing.content_type
        self._prompt = prompt
        self._seconds = seconds
        self._writing = writing
        members = {"backend": prompt.backend, **tag, **_given(session_id=session_id)}
        common = b"," + to_json(members)[1:-1] + b',"timestamp":"'
        self._open = writing.before + b'{"type":'
        self._common = common
        self._message = self._open + b'"message"' + common

    def feed(self, events: list[Event]) -> bytes:
        """The unified events of a list of events; a text delta costs no dict."""
        now = _now()
        parts: list[bytes] = []
        for event in events:
            if type(event) is TextDelta:
                self._writing.sequence += 1
                parts += (
                    self._message,
                    now,
                    b'","sequence":%d,"content":{"text":' % self._writing.sequence,
                    to_json(event.text),
                    b"}}",
                    self._writing.after,
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
        self._writing.sequence += 1
        return b"".join(
            (
                self._open,
                to_json(kind),
                self._common,
                now,
                b'","sequence":%d,"content":' % self._writing.sequence,
                to_json(content),
                b"}",
                self._writing.after,
            )
        )

    def _content(self, event: Event) -> tuple[str, dict[str, Any]] | None:
        """Type and content of an event, or None when this dialect does not tell it."""
        match event:
            case Opened(agent_session_id, model):
                return "init", _given(
                    model=model,
                    backend_session_id=agent_session_id,
                    working_dir=str(self._prompt.workdir or "") or None,
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
            case ApprovalRequest(id_, action, expires_at):
                return "approval_request", _given(
                    approval_id=id_,
                    tool_id=action.call,
                    tool_name=action.tool,
                    input=action.input,
                    summary=action.summary,
                    options=list(action.options),
                    expires_at=_time(datetime.fromtimestamp(expires_at, UTC)),
                )
            case ApprovalDecision(id_, allowed, by, message):
                return "approval_decision", _given(
                    approval_id=id_,
                    decision="allow" if allowed else "deny",
                    by=by,
                    message=message,
                )
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
        return round(self._seconds() * 1000)


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
    return _time(datetime.now(UTC)).encode()


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
