"""The unified form of events that echo never tells."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clinvkd.api.native.encoder import NativeEncoder, Writing
from clinvkd.api.stream import NDJSON
from clinvkd.engine import AnyTurn
from clinvkd.events import Completed, Event, Opened, Progress, TokenUsage, Usage

from ..pools import prompt
from .service import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")


def encoder_of(turn: AnyTurn, session_id: str | None = None) -> NativeEncoder:
    return NativeEncoder(turn.prompt, lambda: turn.seconds, session_id, Writing(NDJSON))


@pytest.mark.parametrize(
    ("event", "kind", "content"),
    [
        (Opened(), "init", {}),
        (Opened("s", "m"), "init", {"model": "m", "backend_session_id": "s"}),
        (Progress("retrying"), "progress", {"stage": "retrying"}),
        (Progress("retrying", "2 of 3"), "progress", {"stage": "retrying", "message": "2 of 3"}),
        (
            TokenUsage(Usage(input_tokens=5, output_tokens=1, cached_tokens=4)),
            "token_usage",
            {"input_tokens": 5, "output_tokens": 1, "cached_tokens": 4},
        ),
    ],
)
async def test_content(service: Service, event: Event, kind: str, content: dict[str, Any]) -> None:
    async with service.engine.turn(prompt("hi", backend="echo")) as turn:
        told = json.loads(encoder_of(turn).feed([event]))
    assert (told["type"], told["content"], told["sequence"]) == (kind, content, 1)


async def test_the_price_is_told_when_the_agent_tells_it(service: Service) -> None:
    async with service.engine.turn(prompt("hi", backend="echo")) as turn:
        encoder = encoder_of(turn, "id")
        completed = Completed("max_turns", Usage(cache_write_tokens=3), 0.25)
        told = json.loads(encoder.feed([completed]))
    assert told["session_id"] == "id"
    assert told["content"].pop("duration_ms") >= 0
    assert told["content"] == {
        "exit_code": 0,
        "stop_reason": "max_turns",
        "token_usage": {"input_tokens": 0, "output_tokens": 0, "cache_write_tokens": 3},
        "cost_usd": 0.25,
    }
