"""The live feed as server-sent events with names."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any

from pydantic_core import to_json

from ... import __version__
from ...errors import ClinvkError
from ...inspector import InspectedRequest
from ...live import (
    AgentState,
    BackendState,
    LiveEvent,
    LiveTurn,
    State,
    TurnEnded,
    TurnStarted,
    TurnText,
)
from ...prompt import Prompt, Text
from ..dialect import Encoder
from ..stream import EVENT_STREAM
from .encoder import error_content
from .models import usage_content
from .session_models import timestamp

_MOST_PROMPT = 200  # characters
_DIALECTS = (("/api/", "native"), ("/openai/", "openai"), ("/anthropic", "anthropic"))
_TEXT = b'event: turn.text\ndata: {"id":'


class LiveEncoder(Encoder[list[LiveEvent]]):
    """The events for one watcher."""

    content_type = EVENT_STREAM

    def feed(self, batch: list[LiveEvent]) -> bytes:
        """The events of one tick of the feed's clock; a turn's text costs no dict."""
        parts: list[bytes] = []
        for event in batch:
            if type(event) is TurnText and not event.dropped:
                parts += (_TEXT, to_json(event.turn_id), b',"text":', to_json(event.text), b"}\n\n")
            else:
                parts.append(_written(*_told(event)))
        return b"".join(parts)

    def substantial(self, batch: list[LiveEvent]) -> bool:
        """Whatever comes: a watcher waits for nothing."""
        return True

    def fail(self, error: ClinvkError) -> bytes:
        """``error``; nothing follows."""
        return _written("error", error_content(error))


def request_content(request: InspectedRequest) -> dict[str, Any]:
    """What is told of a request everywhere."""
    return {
        "id": request.id,
        "request_id": request.request_id,
        "time": timestamp(request.began_at),
        "method": request.method,
        "path": request.path,
        "route": request.route,
        "status": request.status,
        "duration_ms": request.milliseconds,
        "dialect": _dialect(request.path),
        **({} if request.key is None else {"key": request.key}),
    }


def _dialect(path: str) -> str:
    return next((name for begin, name in _DIALECTS if path.startswith(begin)), "meta")


def _written(name: str, data: Mapping[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), to_json(data))


def _told(event: LiveEvent) -> tuple[str, dict[str, Any]]:
    match event:
        case State():
            return "snapshot", _snapshot(event)
        case TurnStarted(turn):
            return "turn.started", _started(turn)
        case TurnText(turn_id, text, dropped):
            return "turn.text", {"id": turn_id, "text": text, "dropped": dropped}
        case TurnEnded():
            return "turn.ended", _ended(event)
        case InspectedRequest():
            return "request", request_content(event)


def _snapshot(state: State) -> dict[str, Any]:
    now = time.monotonic()
    return {
        "time": timestamp(time.time()),
        "version": __version__,
        "uptime_seconds": round(now - state.started, 1),
        "backends": [_backend(backend) for backend in state.backends],
        "agents": [_agent(agent, now) for agent in state.agents],
        "queue": {
            "waiting": sum(backend.figures.queued for backend in state.backends),
            "limit": sum(backend.queue_length for backend in state.backends),
        },
        "limits": {
            backend.name: {
                "agents": backend.most_agents,
                "spares": backend.spares,
                "queue": backend.queue_length,
            }
            for backend in state.backends
        },
        "requests_in_progress": state.requests,
    }


def _backend(backend: BackendState) -> dict[str, Any]:
    return {
        "name": backend.name,
        "type": backend.type,
        "embedded": backend.embedded,
        "available": backend.reason is None,
        "reason": backend.reason,
        "version": backend.version,
        "model": backend.model,
        "warnings": backend.warnings,
        "pool": asdict(backend.figures),
    }


def _agent(agent: AgentState, now: float) -> dict[str, Any]:
    return {
        "id": agent.id,
        "backend": agent.backend,
        "pid": agent.pid,
        "state": agent.doing,
        "age_seconds": round(now - agent.born, 1),
        "memory_bytes": agent.memory_bytes,
        "turns": agent.turns,
        "conversations": agent.conversations,
        "turn_ids": [turn.id for turn in agent.running],
    }


def _started(turn: LiveTurn) -> dict[str, Any]:
    prompt = turn.prompt
    return {
        "id": turn.id,
        "backend": prompt.backend,
        "model": turn.model,
        "dialect": turn.dialect,
        "key": prompt.client,
        **({} if turn.session_id is None else {"session_id": turn.session_id}),
        **({} if turn.turn is None else {"way": turn.turn.way}),
        "prompt": _beginning(prompt),
        "started_at": timestamp(turn.started_at),
    }


def _ended(event: TurnEnded) -> dict[str, Any]:
    end = event.end
    failure = end.failure
    return {
        "id": event.turn.id,
        "outcome": {"completed": "completed", "interrupted": "canceled"}.get(end.outcome, "failed"),
        "model": end.model,
        "usage": usage_content(end.usage),
        **({} if end.cost_usd is None else {"cost_usd": end.cost_usd}),
        "duration_seconds": round(end.seconds, 3),
        **(
            {} if failure is None else {"error": {"code": failure.code, "message": failure.message}}
        ),
    }


def _beginning(prompt: Prompt) -> str:
    """The first characters of the new messages, as far as they are text."""
    texts = (
        block.text[:_MOST_PROMPT]
        for message in prompt.new
        for block in message.content
        if isinstance(block, Text)
    )
    return " ".join(islice(texts, _MOST_PROMPT))[:_MOST_PROMPT]
