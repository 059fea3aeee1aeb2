"""Tasks that outlive the request that caused them."""

from __future__ import annotations

import asyncio

import pytest

from clinvkd.pool import Background


async def test_closing_waits_for_tasks_and_for_those_they_start() -> None:
    background = Background()
    done: list[int] = []

    async def work(generation: int) -> None:
        await asyncio.sleep(0)
        if generation < 5:
            background.start(work(generation + 1), "next")
        await asyncio.sleep(0)
        done.append(generation)

    background.start(work(0), "first")
    await background.aclose(20)
    assert sorted(done) == [0, 1, 2, 3, 4, 5]
    await background.aclose(20)


async def test_what_is_not_done_in_time_is_cancelled() -> None:
    background = Background()
    ended = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    background.start(endless(), "endless")
    await asyncio.sleep(0)
    await background.aclose(0.01)
    assert ended == [True]


async def test_a_failure_is_told_and_goes_no_further(capsys: pytest.CaptureFixture[str]) -> None:
    background = Background()

    async def fail() -> None:
        raise ValueError("a defect")

    background.start(fail(), "the failing one")
    await background.aclose(20)
    assert "the failing one" in capsys.readouterr().out
