"""Budgets, slow callers, and what a turn gives to its caller."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psutil
import pytest

from clinvkd.errors import BackendError, ClinvkError, TurnTimeout
from clinvkd.events import Completed, Event, Progress, TextDelta
from clinvkd.pool import State
from clinvkd.pool import conversation as conversation_module

from ..pools import prompt, text_of
from .driver import Many, One
from .stage import LONG, PATIENCE, backend, everything, hanging, say, stage, told, until


@pytest.mark.parametrize(
    ("limits", "total", "instruction", "reason"),
    [
        ({}, 2, {"text": "some"}, "longer than 2 s"),
        ({"idle_timeout_secs": 2}, LONG, {"text": "some"}, "no sign of life for 2 s"),
        ({"first_byte_timeout_secs": 2}, LONG, {"chunks": 0}, "no answer within 2 s"),
    ],
)
async def test_a_budget_ends_the_turn_after_what_was_said(
    tmp_path: Path, limits: dict[str, Any], total: float, instruction: dict[str, Any], reason: str
) -> None:
    async with stage(backend(**limits), tmp_path, Many) as pool:
        events: list[Event] = []
        asked = prompt(told(then="hang", **instruction))
        async with pool.turn(asked, total) as turn:
            assert turn.running
            with pytest.raises(TurnTimeout, match=reason) as caught:
                await everything(turn, events)
        assert caught.value.status == 504
        assert text_of(events) == instruction.get("text", "")
        assert turn.completed is None
        [agent] = pool.crew
        await until(lambda: not agent.conversations)  # it was interrupted and is usable
        assert await say(pool, "again") == "again"


async def test_an_answer_within_its_budgets_is_not_ended(tmp_path: Path) -> None:
    limits = backend(idle_timeout_secs=5, first_byte_timeout_secs=2)
    async with stage(limits, tmp_path) as pool:
        assert await say(pool, told(text="#", chunks=8, delay=0.3)) == "01234567"


async def test_a_nul_in_an_answer_comes_as_a_replacement(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path) as pool:
        for said, given in (
            ("a\0\0b", "a\ufffd\ufffdb"),
            ("\\\0", "\\\ufffd"),
            (r"not one: \u0000", r"not one: \u0000"),
        ):
            assert await say(pool, told(text=said)) == given


async def test_the_caller_is_told_all_and_then_no_more(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path) as pool, pool.turn(prompt("hello"), LONG) as turn:
        events: list[Event] = []
        await everything(turn, events)
        assert events == [Progress("asked"), TextDelta("hello"), Completed("end_turn")]
        assert turn.reply.text == "hello"
        assert turn.seconds > 0
        assert turn.first_text_at is not None
        assert turn.started <= turn.first_text_at <= turn.started + turn.seconds
        assert not turn.running
        with pytest.raises(StopAsyncIteration):
            await anext(turn)


async def test_a_turn_that_ends_without_an_end_is_an_error(tmp_path: Path) -> None:
    class Silent(Many):
        def open(self) -> Any:
            script = super().open()
            script.turn = lambda prompt: iter(())  # type: ignore[method-assign,assignment,return-value]
            return script

    async with stage(backend(), tmp_path, Silent) as pool:
        with pytest.raises(BackendError, match="without an end"):
            await say(pool, "hello")


async def test_what_a_driver_does_not_expect_is_an_error_of_that_turn_only(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path, Many) as pool, pool.turn(hanging(), LONG) as other:
        with pytest.raises(BackendError, match="not understood"):
            await say(pool, told(then="odd"))
        assert await say(pool, "hello") == "hello"
        assert other.running


async def test_a_slow_caller_stops_the_reading_of_its_own_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation_module, "BACKLOG_PAUSE", 50)
    size, count = 10_000, 10_000
    limits = backend(idle_timeout_secs=2, first_byte_timeout_secs=2)
    async with stage(limits, tmp_path) as pool:
        before = psutil.Process().memory_info().rss
        flood = told(chunks=0, then="flood", size=size, count=count)
        async with pool.turn(prompt(flood), LONG) as turn:
            await until(lambda: turn.conversation.paused)
            # Neither budget blames the agent for what its caller does not take.
            await asyncio.sleep(2.5)
            assert turn.conversation.paused
            assert psutil.Process().memory_info().rss - before < size * count / 4
            total = len(text_of(await anext(turn)))
            turn._watch()  # nor may what it has not had the time to say since
            async with asyncio.timeout(PATIENCE):
                async for batch in turn:
                    total += sum(len(e.text) for e in batch if isinstance(e, TextDelta))
            assert total == size * count + len("the end")


async def test_a_slow_caller_who_leaves_has_its_turn_interrupted_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation_module, "BACKLOG_PAUSE", 50)
    async with stage(backend(stop_grace_secs=PATIENCE), tmp_path) as pool:
        flood = told(chunks=100_000, text="x" * 1000, then="hang")
        async with pool.turn(prompt(flood), LONG) as turn:
            agent = turn.conversation.agent
            await until(lambda: turn.conversation.paused)
        await until(lambda: agent.state is State.STOPPED)
        assert pool.figures().restarts == 0  # it was not deaf: it was not read


async def test_a_slow_caller_of_a_shared_agent_loses_its_own_conversation_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation_module, "BACKLOG_PAUSE", 50)
    monkeypatch.setattr(conversation_module, "BACKLOG_LIMIT", 500)
    async with stage(backend(), tmp_path, Many) as pool:
        endless = prompt(told(text="#,", chunks=10**9))
        async with pool.turn(endless, LONG) as slow:
            script = slow.conversation.script
            await until(lambda: not slow.running)
            assert await say(pool, "hello") == "hello"
            # The agent was told to stop: what it still says is of no turn.
            surprises = script.surprises  # type: ignore[attr-defined]
            await until(lambda: any("end" in message for message in surprises))
            events: list[Event] = []
            with pytest.raises(BackendError, match="not read fast enough"):
                await everything(slow, events)
            assert text_of(events).startswith("0,1,2,")
            assert len(events) > 500
        assert pool.figures().agents == 1


async def test_two_hundred_conversations_of_one_process_are_not_mixed_up(tmp_path: Path) -> None:
    async def converse(number: int) -> str:
        return await say(pool, told(text=f"<{number}:#>", chunks=20, delay=0.005))

    async with stage(backend(agents=1), tmp_path, Many) as pool:
        said = await asyncio.gather(*map(converse, range(200)))
        for number, text in enumerate(said):
            assert text == "".join(f"<{number}:{chunk}>" for chunk in range(20))
        assert pool.figures().agents == 1


@pytest.mark.parametrize("driver", [One, Many])
async def test_garbage_between_the_lines_is_passed_over(tmp_path: Path, driver: type[One]) -> None:
    async with stage(backend(), tmp_path, driver) as pool:
        assert await say(pool, told(text="x", then="garbage")) == "xafter the garbage"


async def test_a_line_may_be_very_long(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path) as pool:
        assert len(await say(pool, told(chunks=0, then="long", size=20 << 20))) == 20 << 20


async def test_half_a_line_is_no_sign_of_an_answer(tmp_path: Path) -> None:
    limits = backend(first_byte_timeout_secs=0.3)
    async with stage(limits, tmp_path) as pool:
        with pytest.raises(TurnTimeout):
            await say(pool, told(chunks=0, then="half"))
        await until(lambda: not [*pool.crew])


async def test_a_caller_may_leave_before_it_has_read_anything(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path, Many) as pool:
        with pytest.raises(ClinvkError, match="no more of it"):
            async with pool.turn(hanging(), LONG) as turn:
                raise ClinvkError("no more of it")
        agent = turn.conversation.agent
        await until(lambda: not agent.conversations)
        assert agent.state is State.READY
