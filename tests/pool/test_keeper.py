"""The rounds of the keeper."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from clinvkd.errors import AgentExited
from clinvkd.pool import Pool, Spawner, State, keep, keeper

from ..pools import prompt
from .driver import Many
from .stage import LONG, backend, beside, ended_child, hanging, ready, say, stage, told, until


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "INTERVAL", 0.02)


async def test_an_agent_that_eats_memory_is_retired_with_its_turns(tmp_path: Path) -> None:
    limits = backend(memory_limit_mb=100, spares=1)
    async with (
        stage(limits, tmp_path, Many) as pool,
        beside(keep(lambda: [pool], pool._house.spawner)),
    ):
        [agent] = await ready(pool)
        assert await say(pool, told(then="memory", mebibytes=5)) == ""
        async with pool.turn(hanging(), LONG) as turn:
            await anext(turn)
            with pytest.raises(AgentExited, match="stopped"):
                await say(pool, told(then="memory", mebibytes=150, last="hang"))
            await until(lambda: agent.state is State.STOPPED)
        assert agent.memory_bytes is not None
        assert agent.memory_bytes > 100 * 2**20
        assert pool.figures().restarts == 1
        [other] = await ready(pool)
        assert other is not agent


async def test_without_a_limit_memory_is_not_even_looked_at(tmp_path: Path) -> None:
    limits = backend(memory_limit_mb=0, spares=1)
    async with (
        stage(limits, tmp_path) as pool,
        beside(keep(lambda: [pool], pool._house.spawner)),
    ):
        [agent] = await ready(pool)
        async with pool.turn(prompt(told(then="memory", mebibytes=150)), LONG) as turn:
            assert [event async for batch in turn for event in batch]
        assert agent in pool.crew
        assert agent.memory_bytes is None


async def test_an_agent_that_only_starts_is_left_alone(tmp_path: Path) -> None:
    limits = backend("--never-ready", memory_limit_mb=1, spares=1)
    async with stage(limits, tmp_path) as pool:
        rounds: list[Pool] = []

        def count() -> list[Pool]:
            rounds.append(pool)
            return [pool]

        async with beside(keep(count, pool._house.spawner)):
            await until(lambda: len(rounds) > 3)
        assert pool.figures().starting == 1


async def test_one_broken_pool_does_not_keep_it_from_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = backend(spares=1, max_age_secs=0.001)
    async with stage(limits, tmp_path) as pool:
        broken = Pool(pool.backend, pool.driver, pool._house, prompt("", backend="test"))
        [agent] = await ready(pool)
        broken.tend = None  # type: ignore[method-assign,assignment]
        async with beside(keep(lambda: [broken, pool], pool._house.spawner)):
            await until(lambda: agent.state is State.STOPPED)
        assert "looking after a pool failed" in capsys.readouterr().out


async def test_orphans_that_ended_are_collected_even_after_a_failure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Failing(Spawner):
        failures = 1

        def reap(self) -> None:
            if self.failures:
                self.failures -= 1
                raise OSError("of a test")
            super().reap()

    child = ended_child()
    async with beside(keep(list, Failing())):
        await until(lambda: not psutil.pid_exists(child))
    assert "collecting ended orphans failed" in capsys.readouterr().out
