"""How a pool finds a conversation for every prompt."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from clinvkd.drivers.base import Launch
from clinvkd.errors import BackendUnavailable, ClinvkError, ShuttingDown
from clinvkd.events import Completed, Event
from clinvkd.pool import Agent, Pool, State, Way
from clinvkd.prompt import Permissions, Sampling

from ..pools import ask, prompt, text_of
from .driver import Many, One, Two
from .stage import (
    LONG,
    PATIENCE,
    backend,
    beside,
    everything,
    hanging,
    ready,
    say,
    stage,
    told,
    until,
)

HELLO = told(text="hi")
RECALL = told(then="recall", text="")
HISTORY = (("user", HELLO), ("assistant", "hi"))


async def way_of(pool: Pool, text: str, *history: tuple[str, str], **options: Any) -> Way:
    async with pool.turn(prompt(text, *history, **options), LONG) as turn:
        async for _ in turn:
            pass
        return turn.way


@pytest.mark.parametrize("driver", [One, Many])
async def test_a_turn_finds_its_conversation_in_one_of_three_ways(
    tmp_path: Path, driver: type[One]
) -> None:
    async with stage(backend(), tmp_path, driver) as pool:
        assert await way_of(pool, HELLO) is Way.START
        figures = pool.figures()
        assert (figures.agents, figures.parked, figures.busy) == (1, 1, 0)
        # The agent itself remembers: what it was asked, what it answered.
        said = await say(pool, RECALL, *HISTORY)
        assert json.loads(said) == [HELLO, "an answer"]
        assert pool.figures().turns == {Way.START: 1, Way.CONTINUE: 1}

    async with stage(backend(spares=1), tmp_path, driver) as pool:
        await ready(pool)
        said = await say(pool, RECALL, *HISTORY)
        assert json.loads(said) == [HELLO, "hi"]  # put into it from the caller's history
        assert pool.figures().turns == {Way.SEED: 1}


@pytest.mark.parametrize(
    ("history", "options"),
    [
        ((("user", HELLO), ("assistant", "hi ")), {}),
        ((("user", told(text="hi!")), ("assistant", "hi")), {}),
        ((("user", "before"), *HISTORY), {}),
        (HISTORY, {"client": "another"}),
        (HISTORY, {"system": "another"}),
        (HISTORY, {"model": "another"}),
        (HISTORY, {"permissions": Permissions(tools=True)}),
        (HISTORY, {"ephemeral": True}),
    ],
)
async def test_a_conversation_is_continued_only_with_its_exact_history_and_binding(
    tmp_path: Path, history: tuple[tuple[str, str], ...], options: dict[str, Any]
) -> None:
    async with stage(backend(), tmp_path, Many) as pool:
        await say(pool, HELLO)
        assert await way_of(pool, RECALL, *history, **options) is Way.SEED
        assert await way_of(pool, RECALL, *HISTORY) is Way.CONTINUE


async def test_another_workdir_is_another_conversation(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path) as pool:
        await say(pool, HELLO)
        assert await way_of(pool, RECALL, *HISTORY, workdir=tmp_path) is Way.START
        assert await way_of(pool, RECALL, *HISTORY) is Way.CONTINUE


async def test_a_busy_conversation_is_not_shared_but_seeded_elsewhere(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path, Many) as pool:
        await say(pool, HELLO)
        slow = prompt(told(text="slow", then="hang"), *HISTORY)
        async with pool.turn(slow, LONG) as first:
            assert first.way is Way.CONTINUE
            await anext(first)
            async with pool.turn(prompt(RECALL, *HISTORY), LONG) as second:
                assert second.way is Way.SEED
                assert second.conversation is not first.conversation
                events = [event async for batch in second for event in batch]
        assert json.loads(text_of(events)) == [HELLO, "hi"]


@pytest.mark.parametrize("driver", [One, Many])
async def test_only_so_many_are_parked_and_the_longest_unused_goes_first(
    tmp_path: Path, driver: type[One]
) -> None:
    async with stage(backend(parked=2), tmp_path, driver) as pool:
        for word in ("a", "b"):
            await say(pool, word)
        await say(pool, "a2", ("user", "a"), ("assistant", "a"))
        await say(pool, "c")
        assert pool.figures().parked == 2
        now = (("user", "a"), ("assistant", "a"), ("user", "a2"), ("assistant", "a2"))
        assert await way_of(pool, "x", ("user", "b"), ("assistant", "b")) is not Way.CONTINUE
        # that one was parked in turn, and put out the longest unused
        assert await way_of(pool, "x", ("user", "c"), ("assistant", "c")) is Way.CONTINUE
        assert await way_of(pool, "x", *now) is not Way.CONTINUE


async def test_nothing_is_parked_when_it_must_not(tmp_path: Path) -> None:
    async with stage(backend(parked=0), tmp_path) as pool:
        await say(pool, HELLO)
        assert pool.figures().parked == 0
        await until(lambda: not list(pool.crew))


async def test_a_conversation_that_is_not_clean_any_more_is_not_parked(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path, Many) as pool:
        assert await say(pool, told(text="hi", then="spoil")) == "hi"
        assert pool.figures().parked == 0


async def test_the_same_conversation_twice_is_parked_once(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path, Many) as pool:
        await asyncio.gather(*(say(pool, HELLO) for _ in range(3)))
        assert pool.figures().parked == 1
        [agent] = pool.crew
        assert len(agent.conversations) == 1


async def test_the_caller_who_sees_the_end_finds_the_conversation_parked(tmp_path: Path) -> None:
    seen: list[tuple[int, bool]] = []
    async with stage(backend(), tmp_path) as pool, pool.turn(prompt(HELLO), LONG) as turn:
        turn.when_completed.append(
            lambda: seen.append((pool.figures().parked, turn.completed is not None))
        )
        async for batch in turn:
            assert isinstance(batch[-1], Completed) == bool(seen)
            if seen:
                assert await say(pool, RECALL, *HISTORY)
                assert pool.figures().turns[Way.CONTINUE] == 1
    assert seen == [(1, True)]


async def test_spares_are_refilled_behind_the_requests(tmp_path: Path) -> None:
    async with stage(backend(spares=2, agents=4), tmp_path) as pool:
        for _ in range(4):
            await until(lambda: pool.figures().spares == 2)
            assert await way_of(pool, HELLO, client=str(random.random())) is Way.SEED
        await until(lambda: pool.figures().spares == 2)
        figures = pool.figures()
        assert (figures.turns, figures.agents, figures.parked) == ({Way.SEED: 4}, 4, 2)


async def test_a_place_that_was_used_lately_gets_a_spare_of_its_own(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("one", "two")]
    for place in places:
        place.mkdir()
    async with stage(backend(spares=1, warm_keys=1, agents=8), tmp_path) as pool:
        for place in places:
            assert await way_of(pool, HELLO, workdir=place) is Way.START
        await until(
            lambda: {(a.launch.cwd, a.free) for a in pool.crew if a.free} >= {(places[1], 1)}
        )
        await until(lambda: pool.figures().starting == 0)
        assert await way_of(pool, HELLO, workdir=places[1], client="b") is Way.SEED
        assert await way_of(pool, HELLO, client="b") is Way.SEED


async def test_a_full_agent_gives_up_a_parked_conversation_rather_than_its_life(
    tmp_path: Path,
) -> None:
    async with stage(backend(), tmp_path, Two) as pool:
        await say(pool, "a")
        await say(pool, "b")
        [before] = pool.crew
        assert await way_of(pool, "c") is Way.SEED
        assert await way_of(pool, "x", ("user", "b"), ("assistant", "b")) is Way.CONTINUE
        [after] = pool.crew
        assert after is before


async def test_at_the_limit_idle_agents_make_room_and_spares_go_before_parked(
    tmp_path: Path,
) -> None:
    async with stage(backend(agents=2), tmp_path) as pool:
        await say(pool, HELLO)
        async with pool.turn(hanging(), LONG) as turn:
            await anext(turn)
            # The limit is reached; the only idle one is the parked conversation.
            assert await way_of(pool, "x", workdir=tmp_path) is Way.START
            assert pool.figures().agents == 2
            assert await way_of(pool, RECALL, *HISTORY) is Way.START


async def test_a_full_queue_refuses_at_once(tmp_path: Path) -> None:
    limits = backend(agents=1, queue_length=1, queue_wait_secs=40)
    async with stage(limits, tmp_path) as pool, pool.turn(hanging(), LONG) as turn:
        await anext(turn)
        async with beside(say(pool, HELLO)):
            await until(lambda: pool.figures().queued == 1)
            with pytest.raises(BackendUnavailable, match="1 requests wait already") as caught:
                await say(pool, HELLO)
            assert (caught.value.status, caught.value.retry_after) == (503, 10)
        await until(lambda: pool.figures().queued == 0)


async def test_the_wait_for_an_agent_is_bounded(tmp_path: Path) -> None:
    limits = backend(agents=1, queue_wait_secs=0.1)
    async with stage(limits, tmp_path) as pool, pool.turn(hanging(), LONG) as turn:
        await anext(turn)
        with pytest.raises(BackendUnavailable, match=r"none got free within 0\.1 s") as caught:
            await say(pool, HELLO)
        assert caught.value.retry_after == 1
        assert pool.figures().queued == 0


async def test_those_who_wait_are_served_in_their_order(tmp_path: Path) -> None:
    served: list[str] = []

    async def wait(name: str) -> None:
        async with pool.turn(prompt(name), LONG) as turn:
            served.append(name)
            async for _ in turn:
                pass

    async with stage(backend(agents=1), tmp_path) as pool:
        names = [str(number) for number in range(6)]
        async with beside(*map(wait, names)) as tasks, asyncio.timeout(PATIENCE):
            await until(lambda: pool.figures().queued == 5)
            tasks[2].cancel()
            tasks[5].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    assert served == ["0", "1", "3", "4"]


async def test_who_waits_does_not_spin(tmp_path: Path) -> None:
    """An agent that gets ready for another caller wakes the queue, which must go back to sleep."""
    async with stage(backend(agents=1), tmp_path) as pool:
        rounds = 0
        reserve = pool.crew.reserve

        def counting(launch: Launch) -> Agent | None:
            nonlocal rounds
            rounds += 1
            return reserve(launch)

        pool.crew.reserve = counting  # type: ignore[method-assign]
        async with beside(ask(pool, hanging(), LONG), *[say(pool, HELLO) for _ in range(4)]):
            await until(lambda: pool.figures().busy == 1 and pool.figures().queued == 4)
            for _ in range(1000):
                await asyncio.sleep(0)
            assert rounds < 10


@pytest.mark.parametrize("seed", range(3))
async def test_no_wake_up_is_lost_among_fifty_callers_who_leave_at_random(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)

    async def call(number: int) -> str:
        return await say(pool, told(text=f"<{number}>", delay=0.005), client=str(number % 7))

    async with stage(backend(agents=2, stop_grace_secs=5), tmp_path, Two) as pool:
        async with beside(*(call(number) for number in range(50))) as tasks:
            leaving = chance.sample(range(50), 20)
            for number in leaving:
                await asyncio.sleep(chance.choice((0, 0, 0.003)))
                tasks[number].cancel()
            async with asyncio.timeout(PATIENCE):
                done = await asyncio.gather(*tasks, return_exceptions=True)
        for number, result in enumerate(done):
            if number not in leaving:
                assert result == f"<{number}>"
        await until(lambda: pool.figures().busy == 0)
        assert pool.figures().queued == 0
        assert all(agent.reserved == 0 for agent in pool.crew)
        assert await say(pool, HELLO) == "hi"


async def test_the_agent_of_a_caller_who_did_not_wait_for_it_becomes_a_spare(
    tmp_path: Path,
) -> None:
    async with stage(backend("--ready-after", "0.2"), tmp_path) as pool:
        async with beside(say(pool, HELLO)):
            await until(lambda: pool.figures().starting == 1)
        [agent] = await ready(pool)
        assert (agent.reserved, pool.figures().spares) == (0, 1)
        assert await way_of(pool, HELLO) is Way.SEED


async def test_an_agent_given_to_a_caller_who_has_just_left_goes_to_the_next(
    tmp_path: Path,
) -> None:
    async with stage(backend(agents=1, parked=0), tmp_path, Two) as pool:
        pool.crew.most = 1
        async with pool.turn(hanging(), LONG) as turn, pool.turn(hanging(), LONG) as other:
            await anext(turn)
            await anext(other)
            async with beside(say(pool, HELLO), say(pool, HELLO)) as [first, second]:
                await until(lambda: pool.figures().queued == 2)
                # In one step: a place gets free, and the one it is given to leaves.
                [agent] = pool.crew
                agent.capacity += 1
                pool.room()
                first.cancel()
                async with asyncio.timeout(PATIENCE):
                    assert await second == "hi"
                assert agent.reserved == 0


async def test_who_waits_is_told_when_the_program_cannot_be_started_any_more(
    tmp_path: Path,
) -> None:
    broken = tmp_path / "broken"
    limits = backend("--crash-while", str(broken), agents=1, crash_budget=1)
    async with stage(limits, tmp_path) as pool:
        async with beside(ask(pool, hanging(), LONG), say(pool, HELLO), say(pool, HELLO)) as tasks:
            await until(lambda: pool.figures().busy == 1 and pool.figures().queued == 2)
            broken.touch()
            tasks[0].cancel()
            for task in tasks[1:]:
                with pytest.raises(BackendUnavailable, match="no such account"):
                    await task
        assert pool.figures().queued == 0


async def test_a_caller_who_leaves_interrupts_at_once_and_a_shared_agent_serves_on(
    tmp_path: Path,
) -> None:
    async with stage(backend(stop_grace_secs=PATIENCE), tmp_path, Many) as pool:
        async with pool.turn(hanging(), LONG) as turn:
            await anext(turn)
            await anext(turn)
        [agent] = pool.crew
        await until(lambda: not agent.conversations)  # the interrupt, its answer, and no parking
        assert await say(pool, HELLO) == "hi"
        assert [*pool.crew] == [agent]
        assert agent.state is State.READY


async def test_a_caller_who_leaves_ends_an_agent_of_one_conversation(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path) as pool:
        async with pool.turn(hanging(), LONG) as turn:
            await anext(turn)
            [agent] = pool.crew
        await until(lambda: agent.state is State.STOPPED)
        assert (pool.figures().parked, pool.figures().restarts) == (0, 0)


async def test_an_agent_deaf_to_interrupts_is_retired(tmp_path: Path) -> None:
    limits = backend("--ignore-interrupts", stop_grace_secs=0.2)
    async with stage(limits, tmp_path, Many) as pool:
        async with pool.turn(hanging(), LONG) as turn:
            await anext(turn)
            [agent] = pool.crew
        await until(lambda: agent.state is State.STOPPED)
        assert pool.figures().restarts == 1
        assert await say(pool, HELLO) == "hi"


async def test_other_turns_of_a_deaf_agent_run_to_their_end(tmp_path: Path) -> None:
    limits = backend("--ignore-interrupts", stop_grace_secs=0.2)
    async with stage(limits, tmp_path, Many) as pool:
        await say(pool, HELLO)
        async with pool.turn(prompt(told(text="#", chunks=20, delay=0.05)), LONG) as other:
            async with pool.turn(hanging(), LONG) as turn:
                await anext(turn)
            [agent] = pool.crew
            await until(lambda: pool.figures().restarts == 1)
            assert not [*pool.crew]
            assert pool.figures().parked == 0
            assert agent.state is State.READY
            said = text_of([event async for batch in other for event in batch])
        assert said == "".join(map(str, range(20)))
        await until(lambda: agent.state is State.STOPPED)


async def test_a_withdrawn_agent_is_ended_with_the_pool(tmp_path: Path) -> None:
    limits = backend("--ignore-interrupts", stop_grace_secs=0.2)
    async with stage(limits, tmp_path, Many) as pool, pool.turn(hanging(), LONG) as other:
        await anext(other)
        async with pool.turn(hanging(), LONG) as turn:
            await anext(turn)
        await until(lambda: pool.figures().restarts == 1)


async def test_a_turn_that_fails_leaves_the_shared_agent_in_peace(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path, Many) as pool:
        with pytest.raises(ClinvkError, match="told to fail"):
            await say(pool, told(then="fail"))
        assert pool.figures().parked == 0
        assert await say(pool, HELLO) == "hi"
        assert pool.figures().agents == 1


async def test_running_turns_end_in_band_when_the_grace_is_over(tmp_path: Path) -> None:
    async with stage(backend(agents=1), tmp_path) as pool:
        events: list[Event] = []
        async with beside(say(pool, HELLO)) as [waiting], pool.turn(hanging(), LONG) as turn:
            events += await anext(turn)
            await until(lambda: turn._play.backlog)
            await pool.drain(0.05)
            with pytest.raises(ShuttingDown):
                await everything(turn, events)
            with pytest.raises(ShuttingDown):
                await waiting
        with pytest.raises(ShuttingDown) as caught:
            await say(pool, HELLO)
        assert caught.value.retry_after == 5
    assert text_of(events) == "begun"


async def test_a_turn_that_ends_within_the_grace_ends_well(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path) as pool:
        async with beside(say(pool, told(text="#", chunks=5, delay=0.02))) as [task]:
            await until(lambda: pool.figures().busy == 1)
            await pool.drain(PATIENCE)
            assert await task == "01234"
        assert pool.figures().parked == 0


async def test_who_waits_for_a_start_when_the_pool_closes_is_refused(tmp_path: Path) -> None:
    slow = backend("--ready-after", "0.3")
    async with stage(slow, tmp_path) as pool, beside(say(pool, HELLO)) as [task]:
        await until(lambda: pool.figures().starting == 1)
        await pool.drain(0)
        with pytest.raises(ShuttingDown):
            await task


@pytest.mark.parametrize("pause", [0, 0.001, 0.01, 0.05, 0.2])
async def test_a_pool_may_be_closed_at_any_moment_of_a_start(tmp_path: Path, pause: float) -> None:
    async with stage(backend("--never-ready", "--deaf", spares=1, stop_grace_secs=0.2), tmp_path):
        await asyncio.sleep(pause)


async def test_what_is_not_installed_is_said_with_the_places(tmp_path: Path) -> None:
    async with stage(backend(command=("no-such-agent",)), tmp_path) as pool:
        assert "not installed" in (pool.crew.unavailable() or "")
        with pytest.raises(BackendUnavailable, match="/usr/bin") as caught:
            await say(pool, HELLO)
        assert caught.value.param == "backend"
        assert not [*pool.crew]


async def test_only_a_pool_with_the_same_settings_is_the_same(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path / "a") as pool, stage(backend(), tmp_path / "b") as twin:
        assert pool.same_as(twin)
        async with stage(backend(agents=3), tmp_path / "c") as other:
            assert not pool.same_as(other)


async def test_a_broken_script_does_not_keep_its_place(tmp_path: Path) -> None:
    class Broken(Many):
        def open(self) -> Any:
            raise RuntimeError("a defect of the driver")

    async with stage(backend(), tmp_path, Broken) as pool:
        with pytest.raises(RuntimeError):
            await say(pool, HELLO)
        [agent] = pool.crew
        assert (agent.reserved, agent.busy) == (0, False)


async def test_a_conversation_spoiled_while_it_was_parked_is_not_continued(
    tmp_path: Path,
) -> None:
    async with stage(backend(), tmp_path, Many) as pool:
        await say(pool, HELLO)
        [agent] = pool.crew
        [conversation] = agent.conversations.values()
        conversation.script.reusable = False
        assert await way_of(pool, RECALL, *HISTORY) is Way.SEED
        assert conversation not in agent.conversations.values()


async def test_a_conversation_bound_otherwise_is_not_continued(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path, Many) as pool:
        await say(pool, HELLO)
        [agent] = pool.crew
        [conversation] = agent.conversations.values()
        other = Sampling(top_k=5)
        assert await way_of(pool, RECALL, *HISTORY, sampling=other) is Way.SEED
        assert conversation not in agent.conversations.values()
        assert await way_of(pool, HELLO, sampling=other) is Way.SEED
        assert await way_of(pool, RECALL, *HISTORY, sampling=other) is Way.CONTINUE


async def test_an_answer_is_cut_at_a_stop_sequence_and_the_agent_interrupted(
    tmp_path: Path,
) -> None:
    asked = told(text="<#>", chunks=1000, delay=0.005)
    async with stage(backend(stop_grace_secs=PATIENCE), tmp_path, Many) as pool:
        assert await say(pool, asked, sampling=Sampling(stop=("<3>",))) == "<0><1><2>"
        [agent] = pool.crew
        await until(lambda: not agent.conversations)
        assert (pool.figures().parked, pool.figures().restarts) == (0, 0)
