"""What it costs the daemon that somebody watches: 200 streams with and without a watcher."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import aiohttp

from .daemon import Daemon, daemon
from .report import Section, median

STREAMS = 200
CHUNKS = 100
PACE = 0.05
PROMPT = f"[[long {CHUNKS}]] [[slow {PACE}]]"
SETTINGS = {
    "default_backend": "echo",
    "log": {"level": "error"},
    "pool": {"conversations": STREAMS // 2, "queue_length": STREAMS},
    "server": {"heartbeat_secs": 60},
}


async def measure(folder: Path, runs: int) -> Section:
    """The same streams in turns, watched and unwatched."""
    rounds = max(4, runs)
    cpu: dict[bool, list[float]] = {False: [], True: []}
    told: list[int] = []
    async with daemon(folder, SETTINGS) as served:
        await served.spare("echo")
        await _streams(served)  # both agents are there afterwards
        for number in range(rounds):
            for watched in (False, True) if number % 2 else (True, False):
                async with _watching(served, told) if watched else nullcontext():
                    cpu[watched].append(await _streams(served))
    alone, watched_too = median(cpu[False]), median(cpu[True])
    ratios = [with_ / without for with_, without in zip(cpu[True], cpu[False], strict=True)]
    low, middle, high = (100 * (ratio - 1) for ratio in statistics.quantiles(ratios, n=4))
    return Section(
        "live",
        "What a watcher of the live feed costs",
        ("streams", "CPU of the daemon, unwatched", "watched", "more", "told per second"),
        [
            (
                str(STREAMS),
                f"{alone:.2f} s [{min(cpu[False]):.2f} to {max(cpu[False]):.2f}]",
                f"{watched_too:.2f} s [{min(cpu[True]):.2f} to {max(cpu[True]):.2f}]",
                f"{middle:+.1f} % [{low:+.1f} to {high:+.1f}]",
                f"{sum(told) / rounds / (CHUNKS * PACE) / 1024:.0f} KiB",
            )
        ],
        [
            (
                f"{STREAMS} streams at once over `echo`, {CHUNKS} chunks each, one every"
                f" {1000 * PACE:.0f} ms, {rounds} interleaved rounds, medians [ranges]; one"
                " watcher of `GET /api/v1/live`. `more` is the median [quartiles] of the rounds'"
                " ratios; what is left of it is the machine's noise."
            )
        ],
    )


@asynccontextmanager
async def _watching(served: Daemon, told: list[int]) -> AsyncIterator[None]:
    """The feed is open and read as long as the context lasts; sizes of what comes go to `told`."""

    async def read(response: aiohttp.ClientResponse) -> None:
        async for data in response.content.iter_any():
            told.append(len(data))  # noqa: PERF401 - what came counts though the end never comes

    async with served.client.get(f"{served.url}/api/v1/live") as response:
        response.raise_for_status()
        reading = asyncio.get_running_loop().create_task(read(response))
        yield
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _streams(served: Daemon) -> float:
    """CPU seconds of the daemon for all streams, from the first request to the last byte."""

    async def one() -> None:
        body = {"prompt": PROMPT, "backend": "echo", "ephemeral": True}
        headers = {"Accept": "text/event-stream"}
        url = f"{served.url}/api/v1/prompt"
        async with served.client.post(url, json=body, headers=headers) as response:
            text = await response.read()
        if text.count(b'"type":"message"') != CHUNKS:
            raise RuntimeError(f"not {CHUNKS} chunks: {text[-500:]!r}")

    before = served.process.cpu_times()
    await asyncio.gather(*(one() for _ in range(STREAMS)))
    after = served.process.cpu_times()
    return after.user + after.system - before.user - before.system
