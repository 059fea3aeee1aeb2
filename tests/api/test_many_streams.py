"""Two hundred callers at once: every answer is whole and its own, and nothing is left behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil

from .service import SSE, Service, serving, text_of, until

CALLERS = 200
WARMING = 8
WORDS = 12
MOST_GROWTH = 64 * 1024 * 1024
"""Bytes by which the daemon and all its callers may grow together."""


async def ask(service: Service, caller: int) -> tuple[str, str]:
    """What one caller should get and what it got; half of them stream."""
    text = " ".join(f"caller{caller}-word{number}" for number in range(WORDS))
    prompt = f"[[slow 0.02]]{text}"
    if caller % 2:
        return text, await service.text(prompt)
    return text, text_of((await service.post(prompt=prompt, headers=SSE)).events)


async def test_two_hundred_streams_at_once(tmp_path: Path) -> None:
    me = psutil.Process()
    async with serving(tmp_path, pool={"parked": 0}) as service:
        # What is opened once for all, such as files of the store, is open after a few turns.
        await asyncio.gather(*(ask(service, caller) for caller in range(WARMING)))
        before = me.num_fds(), len(me.children(recursive=True))
        resident = me.memory_info().rss
        answers = await asyncio.gather(*(ask(service, caller) for caller in range(CALLERS)))
        assert all(wanted == got for wanted, got in answers)
        assert len(set(answers)) == CALLERS
        assert await service.sessions() == WARMING + CALLERS
        await service.idle()
        figures = service.figures()
        assert (figures.busy, figures.queued, figures.restarts) == (0, 0, 0)
        await service.client.session.close()
        await until(lambda: me.num_fds() <= before[0])
        await until(lambda: len(me.children(recursive=True)) <= before[1])
        assert me.memory_info().rss < resident + MOST_GROWTH
