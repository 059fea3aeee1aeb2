"""Which agents are kept, and which are let go."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from clinvkd.pool import State, Way, crew
from clinvkd.pool.locate import Found

from ..pools import prompt
from .driver import COMMAND, Many
from .stage import LONG, backend, hanging, ready, say, stage, until


@pytest.mark.parametrize(
    ("limits", "turns"), [({"max_age_secs": 0.001}, 0), ({"max_turns": 2}, 2)], ids=str
)
async def test_a_worn_agent_is_replaced_when_it_is_idle(
    tmp_path: Path, limits: dict[str, Any], turns: int
) -> None:
    async with stage(backend(spares=1, agents=1, **limits), tmp_path, Many) as pool:
        [old] = await ready(pool)
        for _ in range(turns - 1):
            await say(pool, "hello")
        async with pool.turn(hanging(), LONG) as turn:
            await anext(turn)
            pool.tend()
            assert [*pool.crew] == [old]
        await until(lambda: not old.busy)
        pool.tend()
        assert [*pool.crew] == []
        [new] = await ready(pool)
        assert new.turns == 0


async def test_a_young_agent_stays(tmp_path: Path) -> None:
    async with stage(backend(spares=1), tmp_path) as pool:
        [agent] = await ready(pool)
        pool.tend()
        assert [*pool.crew] == [agent]


async def test_what_is_idle_for_long_and_no_spare_is_let_go(tmp_path: Path) -> None:
    async with stage(backend(spares=1, warm_keys=0, idle_secs=50), tmp_path) as pool:
        for number in range(3):
            await say(pool, "hello", client=str(number))
        await say(pool, "hello", workdir=tmp_path)
        await until(lambda: pool.figures().spares == 1)
        pool.tend()
        assert (pool.figures().agents, pool.figures().parked) == (4, 3)
        for agent in pool.crew:
            agent.born = agent._last_discarded = time.monotonic() - 60
            for conversation in agent.conversations.values():
                conversation.idle_since = time.monotonic() - 60
        pool.tend()
        figures = pool.figures()
        assert (figures.agents, figures.parked, figures.spares) == (1, 0, 1)


@pytest.mark.parametrize("wanted", [0, 1, 2])
async def test_spares_too_many_are_let_go_when_they_are_idle(tmp_path: Path, wanted: int) -> None:
    async with stage(backend(spares=2, idle_secs=50), tmp_path) as pool:
        await ready(pool, 2)
        pool.crew._limits = pool.crew._limits.model_copy(update={"spares": wanted})
        for agent in pool.crew:
            agent._last_discarded = time.monotonic() - 60
        pool.tend()
        assert len(pool.crew) == wanted


async def test_a_pool_nobody_opened_starts_nothing_by_itself(tmp_path: Path) -> None:
    async with stage(backend(spares=1), tmp_path) as pool:
        await ready(pool)
        other = type(pool)(pool.backend, pool.driver, pool._house, prompt("", backend="test"))
        other.crew.refill()
        assert not [*other.crew]
        await other.aclose()


async def test_no_spare_is_started_while_callers_wait(tmp_path: Path) -> None:
    async with stage(backend(spares=1, agents=2), tmp_path) as pool:
        await ready(pool)
        async with pool.turn(hanging(), LONG) as turn:
            await anext(turn)
            await ready(pool, 2)
            async with pool.turn(hanging(), LONG) as other:
                await anext(other)
                assert pool.figures().spares == 0
                pool.crew.refill()
                assert pool.figures().agents == 2  # all are at work, and nobody is given up


async def test_the_most_useful_agent_is_taken(tmp_path: Path) -> None:
    async with stage(backend(conversations=2, agents=2), tmp_path, Many) as pool:
        launch = pool.crew.default
        first = pool.crew.reserve(launch)
        assert first is not None
        assert pool.crew.reserve(launch) is first
        second = pool.crew.reserve(launch)
        assert second is not first
        assert second is not None
        assert pool.crew.reserve(launch) is second
        assert pool.crew.reserve(launch) is None
        await ready(pool, 2)
        for agent in (first, first, second, second):
            agent.reserved -= 1
        first.open()
        assert pool.crew.reserve(launch) is second  # the one with fewer conversations
        second.reserved -= 1


async def test_a_retired_agent_makes_room_for_another(tmp_path: Path) -> None:
    async with stage(backend(spares=1, agents=1), tmp_path) as pool:
        [agent] = await ready(pool)
        pool.crew.retire(agent, "of a test")
        pool.crew.retire(agent, "of a test")
        pool.crew.withdraw(agent, "of a test")
        assert agent not in pool.crew
        assert pool.crew.ending == (agent,)
        await until(lambda: agent.state is State.STOPPED and not pool.crew.ending)
        [other] = await ready(pool)
        assert other is not agent
        async with pool.turn(prompt("x"), LONG) as turn:
            assert turn.way is Way.SEED


async def test_a_program_is_looked_for_again_only_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "_LOCATE_AGAIN", 50.0)
    program = tmp_path / ".local/bin/agent"
    program.parent.mkdir(parents=True)
    async with stage(backend(command=("agent", *COMMAND[1:])), tmp_path) as pool:
        assert not isinstance(pool.crew.program(), Found)
        program.symlink_to(COMMAND[0])
        assert not isinstance(pool.crew.program(), Found)
        pool.crew._located -= 60
        assert isinstance(pool.crew.program(), Found)
        program.unlink()
        assert not isinstance(pool.crew.program(), Found)
