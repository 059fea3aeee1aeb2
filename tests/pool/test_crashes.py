"""When starts fail again and again."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from clinvkd.config import Backend
from clinvkd.drivers.base import Launch
from clinvkd.errors import BackendUnavailable, InvalidRequest
from clinvkd.pool import Agent, State, Way
from clinvkd.pool import crashes as crashes_module
from clinvkd.pool.crashes import Crashes
from clinvkd.prompt import Prompt

from .driver import Many
from .stage import backend, ready, say, stage, until


def stopped(agent: Agent) -> bool:
    return agent.state is State.STOPPED


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(crashes_module, "time", clock)
    return clock


def test_each_failure_in_a_row_doubles_the_pause_up_to_half_a_minute(clock: Clock) -> None:
    crashes = Crashes(budget=100, window=60)
    assert crashes.pause == 0
    pauses = []
    for _ in range(8):
        crashes.failed("of this")
        pauses.append(crashes.pause)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]
    clock.now += 10
    assert crashes.pause == 20
    clock.now += 20
    assert crashes.pause == 0
    for _ in range(2000):
        crashes.wasted()
    assert crashes.pause == 30
    crashes.proved()
    assert crashes.pause == 0


def test_the_backend_is_down_until_the_oldest_failure_is_out_of_the_window(clock: Clock) -> None:
    crashes = Crashes(budget=3, window=60)
    for seconds in (0, 10, 10):
        assert crashes.reason is None
        clock.now += seconds
        crashes.failed(f"of {seconds}")
    assert crashes.reason == "3 starts in a row failed, the last one because of 10"
    assert crashes.retry_after == 40
    clock.now += 39.5
    assert crashes.retry_after == 1
    clock.now += 0.5
    assert not crashes.reason
    crashes.failed("again")
    assert crashes.retry_after == 10


def test_a_good_start_ends_the_downtime_but_not_the_back_off(clock: Clock) -> None:
    crashes = Crashes(budget=1, window=60)
    crashes.failed("of this")
    crashes.started()
    assert crashes.reason is None
    assert crashes.pause == 0.5
    crashes.wasted()
    assert (crashes.reason, crashes.pause) == (None, 1)


async def test_a_backend_whose_agents_crash_at_the_start_is_down_and_recovers(
    tmp_path: Path,
) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    limits = backend("--crash-while", str(broken), crash_budget=2, crash_window_secs=5)
    async with stage(limits, tmp_path) as pool:
        for _ in range(2):
            with pytest.raises(BackendUnavailable, match="status 7: no such account"):
                await say(pool, "hello")
        with pytest.raises(BackendUnavailable, match="2 starts in a row failed") as caught:
            await say(pool, "hello")
        assert caught.value.retry_after in (1, 2, 3, 4, 5)
        assert "no such account" in (pool.crew.unavailable() or "")
        assert not [*pool.crew]
        broken.unlink()
        await until(lambda: pool.crew.unavailable() is None)
        assert await say(pool, "hello") == "hello"


async def test_spares_wait_longer_and_longer_for_a_backend_that_fails(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    limits = backend("--crash-while", str(broken), spares=1, crash_budget=2, crash_window_secs=60)
    async with stage(limits, tmp_path) as pool:
        await until(lambda: pool.crew.crashes.reason)
        pool.crew.refill()
        assert not [*pool.crew]  # no spare is even tried
        broken.unlink()
        pool.crew.crashes.started()
        pool.tend()  # the keeper looks again, and the back-off is over in a second
        await ready(pool)


async def test_agents_that_end_idle_are_restarted_more_and_more_slowly(tmp_path: Path) -> None:
    async with stage(backend(spares=1, crash_budget=1), tmp_path, Many) as pool:
        for deaths in range(3):
            [agent] = await ready(pool)
            assert pool.crew.crashes._in_a_row == deaths  # a good start alone is no proof
            os.kill(agent.pid or 0, signal.SIGKILL)
            await until(partial(stopped, agent))
            assert pool.crew.unavailable() is None  # callers are still served
        [agent] = await ready(pool)
        assert pool.figures().restarts == 3
        assert await say(pool, "hello") == "hello"
        assert pool.crew.crashes._in_a_row == 0
        assert pool.figures().turns == {Way.SEED: 1}


async def test_an_agent_that_lived_long_has_proved_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage(backend(spares=1), tmp_path) as pool:
        [agent] = await ready(pool)
        pool.crew.crashes.wasted()
        pool.tend()
        assert pool.crew.crashes.pause > 0
        agent.born = time.monotonic() - 11
        pool.tend()
        assert pool.crew.crashes.pause == 0


async def test_a_directory_that_is_gone_is_the_callers_trouble_alone(tmp_path: Path) -> None:
    async with stage(backend(crash_budget=1), tmp_path) as pool:
        with pytest.raises(InvalidRequest, match="cannot be entered") as caught:
            await say(pool, "hello", workdir=tmp_path / "gone")
        assert caught.value.param == "workdir"
        assert pool.crew.unavailable() is None
        assert list(pool.crew._recent) == []  # no spare is started there
        assert await say(pool, "hello") == "hello"


class Elsewhere(Many):
    """Agents that are told of the directory later, by a message."""

    @classmethod
    def launch(cls, backend: Backend, prompt: Prompt) -> Launch:
        return replace(super().launch(backend, prompt), cwd=None)


async def test_a_directory_that_changed_in_the_queue_is_not_used(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path, Elsewhere) as pool:
        (tmp_path / "link").symlink_to("/etc")
        with pytest.raises(InvalidRequest, match="workdir"):
            await say(pool, "hello", workdir=tmp_path / "link")
        assert all(agent.free == agent.capacity for agent in pool.crew)
