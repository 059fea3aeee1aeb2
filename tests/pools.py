"""Pools for tests: the real one, in a private folder, with an environment built from nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from clinvkd.config import Backend, PoolSettings
from clinvkd.drivers.base import Driver
from clinvkd.events import Event, TextDelta
from clinvkd.pool import Background, House, Pool, Spawner
from clinvkd.prompt import Message, Prompt, Text


def backend(name: str, driver: str, command: tuple[str, ...], **options: Any) -> Backend:
    """A backend; `pool` may be a dict of pool settings."""
    pool = PoolSettings(**options.pop("pool", {}))
    return Backend(name=name, driver=driver, command=command, pool=pool, **options)  # type: ignore[arg-type]


def prompt(text: str, *history: tuple[str, str], backend: str = "test", **options: Any) -> Prompt:
    """A prompt with earlier ``(role, text)`` messages."""
    messages = [Message(role, (Text(said),)) for role, said in history]  # type: ignore[arg-type]
    return Prompt(backend=backend, messages=(*messages, Message("user", (Text(text),))), **options)


@asynccontextmanager
async def running_pool(
    backend: Backend,
    driver: type[Driver],
    folder: Path,
    inherited: Mapping[str, str],
    default: Prompt | None = None,
) -> AsyncIterator[Pool]:
    """A pool whose agents are all ended afterwards."""
    house = House(spawner=Spawner(), background=Background(), folder=folder, inherited=inherited)
    pool = Pool(backend, driver, house, default or prompt("", backend=backend.name))
    pool.open()
    try:
        yield pool
    finally:
        await pool.drain(0)
        await house.background.aclose(backend.pool.stop_grace_secs)
        await pool.aclose()
        await house.background.aclose(backend.pool.stop_grace_secs)
        await house.tools.aclose()


async def ask(pool: Pool, asked: Prompt, total_secs: float = 60) -> list[Event]:
    """Run a whole turn; all its events."""
    events: list[Event] = []
    async with pool.turn(asked, total_secs) as turn:
        async for batch in turn:
            events += batch
    return events


def text_of(events: list[Event]) -> str:
    """The answer's text."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))
