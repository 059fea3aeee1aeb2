"""A provider's stream that breaks off anywhere in an answer with a call, through the real CLIs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clinvkd.errors import BackendError, ClinvkError, TurnTimeout
from clinvkd.events import Completed, Event, Request
from clinvkd.pool import Pool, Way
from clinvkd.prompt import Message, Prompt, Text, Tool, ToolResult
from tests.pools import ask, text_of
from tests.providers import FakeProvider
from tests.providers.script import Reply, ToolCall
from tests.providers.server import Answer

from . import acp_stage, claude_stage, codex_stage

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

WEATHER = Tool("weather", "Tells it.", {"type": "object", "properties": {"city": {}}})


@asynccontextmanager
async def staged(name: str, folder: Path) -> AsyncIterator[tuple[Pool, FakeProvider, Prompt]]:
    """A pool, the provider behind it, and a prompt with tools that says nothing yet."""
    on: AbstractAsyncContextManager[Any]
    match name:
        case "claude":
            on = claude_stage.stage("claude", folder, agents=3)
            empty = claude_stage.asked("")
        case "codex":
            on = codex_stage.staged(folder)
            empty = codex_stage.asked("")
        case _:
            on = acp_stage.stage(name, folder)
            empty = replace(codex_stage.asked(""), backend=name, model=acp_stage.MODELS[name])
    async with on as stage:
        yield stage.pool, stage.provider, replace(empty, tools=(WEATHER,))


def calling(name: str, cut_at: int | None) -> dict[str, Any]:
    """A reply with text and a call, as a directive."""
    tool = "mcp_clinvk_weather" if name == "gemini" else "weather"
    call = {"name": tool, "arguments": {"city": "Oslo"}}
    reply = {"text": "I look.", "chunks": 1, "tools": [call], "then": {"text": "Wet."}}
    return reply if cut_at is None else {**reply, "cut_at": cut_at}


def saying(prompt: Prompt, directive: dict[str, Any]) -> Prompt:
    return replace(prompt, messages=(Message("user", (Text(f"%%{json.dumps(directive)}%%"),)),))


async def outcome(pool: Pool, prompt: Prompt) -> tuple[list[Event], ClinvkError | None]:
    """What a turn told, and what it failed with."""
    events: list[Event] = []
    try:
        async with pool.turn(prompt, 100) as turn:
            async for batch in turn:
                events += batch
    except ClinvkError as error:
        return events, error
    return events, None


@pytest.mark.parametrize("name", ["claude", "codex", "gemini"])
async def test_the_call_comes_once_or_the_turn_fails(name: str, tmp_path: Path) -> None:
    async with staged(name, tmp_path) as (pool, provider, prompt):
        whole = await ask(pool, saying(prompt, calling(name, None)))
        assert [event.name for event in whole if isinstance(event, Request)] == ["weather"]
        played = Reply(text="I look.", tools=(ToolCall("weather"),))
        answer = Answer(provider.turns[0], played, ["I look."], 1)
        length = len(list(provider.stream(answer)))
        cuts = await asyncio.gather(
            *(outcome(pool, saying(prompt, calling(name, cut))) for cut in range(length))
        )
    for events, error in cuts:
        told = [event.input for event in events if isinstance(event, Request)]
        assert told in ([], [{"city": "Oslo"}])
        match events[-1] if events else None:
            case Completed(stop_reason):
                assert (stop_reason, len(told)) == ("tool_use", 1)
            case _:
                assert error is not None
                assert not isinstance(error, TurnTimeout)
        assert text_of(events) in ("", "I look.")
    assert cuts[0][1] is not None


async def test_codex_goes_on_after_a_call_whose_response_broke_off(tmp_path: Path) -> None:
    async with staged("codex", tmp_path) as (pool, provider, prompt):
        reply = Reply(text="I look.", tools=(ToolCall("weather"),))
        asked = saying(prompt, calling("codex", None))
        await ask(pool, asked)
        frames = list(provider.stream(Answer(provider.turns[0], reply, ["I look."], 1)))
        asked = saying(prompt, calling("codex", len(frames) - 1))
        async with pool.turn(asked, 100) as turn:
            async for _ in turn:
                pass
        (call,) = (block for block in turn.reply.content if not isinstance(block, Text))
        result = ToolResult(call.id, (Text("rain"),))  # type: ignore[union-attr]
        again = replace(asked, messages=(*asked.messages, turn.reply, Message("user", (result,))))
        # What broke is told now; whoever asks again is served from the history.
        events, error = await outcome(pool, again)
        assert isinstance(error, BackendError)
        assert "ended early" in str(error)
        async with pool.turn(again, 100) as turn:
            async for batch in turn:
                events += batch
        assert turn.way is Way.SEED
        assert text_of(events) == "Wet."
