"""What is told of turns when they have ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from clinvkd.errors import BackendError, TurnTimeout
from clinvkd.events import Completed, Usage
from clinvkd.observation import TurnEnd, observed
from clinvkd.pool import Pool, Way
from clinvkd.prompt import Prompt
from clinvkd.shaping import BYTES_PER_TOKEN

from .pool.driver import Many
from .pool.stage import LONG, backend, stage, told
from .pools import prompt


async def run(pool: Pool, asked: Prompt, ends: list[TurnEnd], total: float = LONG) -> None:
    with observed(asked, [ends.append]) as watch:
        async with pool.turn(asked, total) as turn:
            watch(turn)
            async for events in turn:
                # The end is told before the caller has it.
                assert isinstance(events[-1], Completed) == bool(ends)


async def test_a_completed_turn_is_told_once(tmp_path: Path) -> None:
    ends: list[TurnEnd] = []
    async with stage(backend(), tmp_path, Many) as pool:
        await run(pool, prompt("hello", client="alice", model="m"), ends)
    (end,) = ends
    assert (end.backend, end.client, end.model) == ("test", "alice", "m")
    assert (end.outcome, end.completed) == ("completed", True)
    assert isinstance(end.way, Way)
    assert end.first_text_seconds is not None
    assert 0 <= end.first_text_seconds <= end.seconds


async def test_a_turn_that_fails_is_told_by_its_error(tmp_path: Path) -> None:
    ends: list[TurnEnd] = []
    async with stage(backend(), tmp_path, Many) as pool:
        with pytest.raises(TurnTimeout):
            await run(pool, prompt(told(then="hang", chunks=0)), ends, 0.2)
    (end,) = ends
    assert (end.outcome, end.completed) == (TurnTimeout.code, False)
    assert end.first_text_seconds is None
    assert isinstance(end.way, Way)
    assert end.usage == Usage()


async def test_a_turn_that_fails_in_its_answer_has_used_something(tmp_path: Path) -> None:
    ends: list[TurnEnd] = []
    async with stage(backend(), tmp_path, Many) as pool:
        with pytest.raises(BackendError):
            await run(pool, prompt(told(text="some words", then="fail")), ends)
    assert ends[0].usage.input_tokens > 0
    assert ends[0].usage.output_tokens == len("some words") // BYTES_PER_TOKEN


async def test_a_caller_that_leaves_interrupts_it(tmp_path: Path) -> None:
    ends: list[TurnEnd] = []
    async with stage(backend(), tmp_path, Many) as pool:
        asked = prompt(told(text="some", then="hang"))
        begun = asyncio.Event()

        async def ask() -> None:
            with observed(asked, [ends.append]) as watch:
                async with pool.turn(asked, LONG) as turn:
                    watch(turn)
                    async for _ in turn:
                        begun.set()

        asking = asyncio.get_running_loop().create_task(ask())
        await begun.wait()
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
    assert [end.outcome for end in ends] == ["interrupted"]
    # Nobody tells what it used, so it is estimated.
    assert ends[0].usage.input_tokens > len(asked.messages[0].text) // BYTES_PER_TOKEN


def test_without_a_conversation_there_is_no_way() -> None:
    ends: list[TurnEnd] = []
    with pytest.raises(BackendError), observed(prompt("hi"), [ends.append]):
        raise BackendError("nothing to be had")
    (end,) = ends
    assert (end.way, end.outcome, end.usage.input_tokens) == (None, BackendError.code, 0)
