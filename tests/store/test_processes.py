"""What the store keeps when its process is killed, and when another process has it open as well."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from .samples import opened, response

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def writer(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A running `tests.store.writer`; killed afterwards, whatever it does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.store.writer", *arguments,
        stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def printed(process: asyncio.subprocess.Process, number: int | None = None) -> list[str]:
    """The next lines of a process, or all that are left."""
    assert process.stdout is not None
    lines: list[str] = []
    while number is None or len(lines) < number:
        line = await process.stdout.readline()
        if not line.endswith(b"\n"):
            break
        lines.append(line.decode().strip())
    return lines


@pytest.mark.parametrize("written", [1, 7, 60])
async def test_what_was_acknowledged_survives_a_kill(path: Path, written: int) -> None:
    async with writer(str(path), "resp") as process:
        acknowledged = await printed(process, written)
        process.kill()
        acknowledged += await printed(process)
    assert len(acknowledged) >= written

    async with opened(path) as store:
        for response_id in acknowledged:
            kept = await store.responses.get(response_id, "alice")
            assert kept == response(response_id, status="in_progress")
        # At most one more was on its way.
        left = (await store.clear_up(9.0))["interrupted_responses"]
        assert len(acknowledged) <= left <= len(acknowledged) + 1
        assert store.set_aside is None
        assert store.healthy() is None


async def test_two_processes_write_to_one_file(path: Path) -> None:
    number = 200
    async with (
        writer(str(path), "one", str(number)) as one,
        writer(str(path), "two", str(number)) as two,
    ):
        acknowledged = await asyncio.gather(printed(one), printed(two))
    assert [len(ids) for ids in acknowledged] == [number, number]
    async with opened(path) as store:
        for response_id in (*acknowledged[0], *acknowledged[1]):
            assert await store.responses.get(response_id, "alice") is not None


async def test_what_another_process_works_on_is_not_interrupted(path: Path) -> None:
    async with opened(path) as store:
        async with writer(str(path), "resp") as process:
            await printed(process, 1)
            assert (await store.clear_up(9.0))["interrupted_responses"] == 0
        assert (await store.clear_up(9.0))["interrupted_responses"] > 0
