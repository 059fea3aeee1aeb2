"""All at once: agents killed at random under load."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from clinvkd.errors import AgentExited, BackendUnavailable
from clinvkd.pool import State

from .driver import Many, One
from .stage import backend, beside, say, stage, told, until

KILLS = 100


@pytest.mark.parametrize("driver", [One, Many])
async def test_a_storm_of_kills_hangs_nobody_and_mixes_nothing_up(
    tmp_path: Path, driver: type[One]
) -> None:
    chance = random.Random(7)
    over = asyncio.Event()
    whole = broken = 0

    async def call(name: int) -> None:
        nonlocal whole, broken
        while not over.is_set():
            try:
                said = await say(pool, told(text=f"<{name}:#>", chunks=4, delay=0.01))
            except AgentExited:
                broken += 1
            except BackendUnavailable:  # it was starting when it was killed
                broken += 1
                await asyncio.sleep(0.01)
            else:
                assert said == "".join(f"<{name}:{chunk}>" for chunk in range(4))
                whole += 1

    limits = backend(agents=4, spares=2, queue_wait_secs=20, crash_budget=1000)

    def more_than(before: int) -> bool:
        return whole > before

    async def kill_at_random() -> None:
        for _ in range(KILLS):
            if chance.random() < 0.2:  # let some turns through, however slow the machine is
                await until(partial(more_than, whole))
            await asyncio.sleep(chance.choice((0, 0.005, 0.03)))
            await until(lambda: any(agent.pid for agent in pool.crew))
            victim = chance.choice([agent for agent in pool.crew if agent.pid])
            with suppress(ProcessLookupError):
                os.kill(victim.pid or 0, signal.SIGKILL)

    async with stage(limits, tmp_path, driver) as pool:
        async with beside(*map(call, range(8))) as callers:
            await kill_at_random()
            over.set()
            async with asyncio.timeout(30):
                await asyncio.gather(*callers)
        assert broken > 0
        assert await say(pool, "hello") == "hello"
        await until(lambda: sum(a.free for a in pool.crew if a.state is State.READY) >= 2)
        figures = pool.figures()
        assert (figures.busy, figures.queued) == (0, 0)
        assert all(agent.reserved == 0 for agent in pool.crew)
    assert whole > 0
