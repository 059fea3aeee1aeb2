"""A pool of misbehaving agents for one test, and what must hold when it is closed."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from clinvkd.config import Backend, PoolSettings
from clinvkd.drivers.base import Driver
from clinvkd.events import Event
from clinvkd.pool import Agent, Background, House, Pool, Spawner, State, Turn
from clinvkd.prompt import Prompt

from ..pools import ask, prompt, text_of
from .driver import COMMAND, One

PATIENCE = 20.0
"""Seconds after which a test gives up; only a defect takes so long, however busy the machine."""

LONG = 600.0


def told(**instruction: object) -> str:
    """The text of a prompt that is an instruction."""
    return json.dumps(instruction)


def backend(*flags: str, command: tuple[str, ...] = COMMAND, **pool: Any) -> Backend:
    """The backend `test` with these pool settings."""
    settings = PoolSettings(**{"stop_grace_secs": 2, "spares": 0, **pool})
    return Backend(name="test", driver="acp", command=command, extra_flags=flags, pool=settings)


def house(folder: Path) -> House:
    """What agents share, with next to nothing to inherit."""
    inherited = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return House(
        spawner=Spawner(), background=Background(), folder=folder / "run", inherited=inherited
    )


@asynccontextmanager
async def stage(backend: Backend, folder: Path, driver: type[Driver] = One) -> AsyncIterator[Pool]:
    """An opened pool; afterwards no process, no open file and no folder may be left."""
    files, others = psutil.Process().num_fds(), children()
    shared = house(folder)
    pool = Pool(backend, driver, shared, prompt("", backend="test"))
    pool.open()
    try:
        yield pool
    finally:
        await pool.drain(0)
        await pool.aclose()
        await shared.background.aclose(2 * backend.pool.stop_grace_secs + 5)
    await until(lambda: not _children(shared) - others)
    assert not shared.spawner.running
    assert not shared.folder.exists() or list(shared.folder.iterdir()) == []
    await until(lambda: psutil.Process().num_fds() <= files)


def _children(shared: House) -> set[psutil.Process]:
    shared.spawner.reap()  # as the keeper does
    return children()


def children() -> set[psutil.Process]:
    """What runs under this process; programs of other tests' fixtures may be among it."""
    return set(psutil.Process().children(recursive=True))


async def until(condition: Callable[[], object]) -> None:
    """Wait for what no event tells."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def ready(pool: Pool, number: int = 1) -> list[Agent]:
    """Wait until so many agents are ready."""
    await until(lambda: sum(agent.state is State.READY for agent in pool.crew) == number)
    return list(pool.crew)


async def say(pool: Pool, text: str, *history: tuple[str, str], **options: Any) -> str:
    """The text of the answer to a prompt."""
    async with asyncio.timeout(PATIENCE):
        return text_of(await ask(pool, prompt(text, *history, **options), LONG))


@asynccontextmanager
async def beside(*coroutines: Coroutine[Any, Any, Any]) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Run coroutines as tasks for as long as the block takes; what is left is cancelled."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(coroutine) for coroutine in coroutines]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def everything(turn: Turn, events: list[Event]) -> None:
    """Add all events of a turn, so that those before a failure are there."""
    async with asyncio.timeout(PATIENCE):
        async for batch in turn:
            assert batch
            events += batch


def ended_child() -> int:
    """The id of a child process of ours that has ended and that nobody has waited for."""
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    return child


def hanging(text: str = "begun") -> Prompt:
    """A prompt whose turn says `text` and goes on for ever."""
    return prompt(told(text=text, then="hang"))
