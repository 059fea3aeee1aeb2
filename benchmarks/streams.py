"""Delay and CPU time per streamed chunk, clinvk against the floor, paced and in a burst."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from .daemon import daemon
from .report import Section, median

STREAMS = 50
PACED_CHUNKS = 100
PACE = 0.02
BURST_CHUNKS = 2_000


@dataclass(frozen=True)
class Api:
    """How one API is asked for a stream of echo, and what a chunk of it looks like."""

    path: str
    body: Callable[[str], dict[str, Any]]
    chunk: bytes


def _chat(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


NATIVE = Api(
    "/api/v1/prompt",
    lambda prompt: {"prompt": prompt, "backend": "echo", "ephemeral": True},
    b'"type":"message"',
)
APIS = {
    "floor": NATIVE,
    "native": NATIVE,
    "OpenAI": Api(
        "/openai/v1/chat/completions",
        lambda prompt: {"model": "echo", "messages": _chat(prompt), "stream": True},
        b'"delta":{"content":',
    ),
    "Anthropic": Api(
        "/anthropic/v1/messages",
        lambda prompt: {
            "model": "echo",
            "messages": _chat(prompt),
            "stream": True,
            "max_tokens": 1_000_000,
        },
        b'"type":"text_delta"',
    ),
}

Figures = tuple[float, float, float]


async def measure(folder: Path, runs: int) -> Section:
    """All APIs and the floor in turns, with the same agent and the same client."""
    rounds = max(3, runs // 3)
    figures: dict[tuple[str, str], list[Figures]] = {}
    settings = {"default_backend": "echo", "server": {"heartbeat_secs": 60}}
    loads = {
        "paced": (f"[[long {PACED_CHUNKS}]] [[slow {PACE}]]", PACED_CHUNKS),
        "burst": (f"[[long {BURST_CHUNKS}]]", BURST_CHUNKS),
    }
    async with daemon(folder, settings) as served, _floor() as (floor_url, floor):
        await served.spare("echo")
        for _ in range(rounds):
            for name, api in APIS.items():
                at_floor = name == "floor"
                url = floor_url if at_floor else served.url
                process = floor if at_floor else served.process
                for kind, (prompt, chunks) in loads.items():
                    result = await _load(url, api, process, prompt, chunks)
                    figures.setdefault((name, kind), []).append(result)
    return Section(
        "stream",
        "Per streamed chunk: clinvk against the floor",
        (
            "API",
            "CPU per 1,000 chunks, paced",
            "CPU per 1,000 chunks, burst",
            "added delay, p50",
            "added delay, p99",
        ),
        [_row(name, figures) for name in APIS],
        [
            (
                f"{STREAMS} streams at once over `echo`, {rounds} interleaved rounds, medians;"
                f" paced: {PACED_CHUNKS} chunks each, one every {1000 * PACE:.0f} ms; burst:"
                f" {BURST_CHUNKS} chunks each, as fast as the agent can."
            ),
            (
                "The floor (`benchmarks/floor.py`) is a bare aiohttp handler: no middleware, no"
                " validation, typed decode, preformatted events, one write per read."
            ),
            (
                "CPU is the server process alone. Delay is the time by which a chunk comes later"
                " than its pace, counted from the stream's first chunk, less that of the floor."
            ),
        ],
    )


def _row(name: str, figures: dict[tuple[str, str], list[Figures]]) -> tuple[str, ...]:
    def middle(name: str, kind: str, index: int) -> float:
        return median([figure[index] for figure in figures[name, kind]])

    cells = [name]
    for kind in ("paced", "burst"):
        cpu = middle(name, kind, 0)
        cells.append(f"{cpu:.1f} ms ({cpu / middle('floor', kind, 0):.2f}x)")
    for index in (1, 2):
        late = middle(name, "paced", index) - middle("floor", "paced", index)
        cells.append("" if name == "floor" else f"{1000 * late:+.2f} ms")
    return tuple(cells)


async def _load(url: str, api: Api, process: psutil.Process, prompt: str, chunks: int) -> Figures:
    """CPU milliseconds per 1,000 chunks, and the p50 and p99 of the chunks' lateness."""
    late: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

        async def one() -> None:
            headers = {"Accept": "text/event-stream"}
            seen = 0
            first = 0.0
            async with client.post(
                url + api.path, json=api.body(prompt), headers=headers
            ) as response:
                async for data, _ in response.content.iter_chunks():
                    now = time.perf_counter()
                    for _ in range(data.count(api.chunk)):
                        first = first or now
                        late.append(now - first - seen * PACE)
                        seen += 1
            if seen != chunks:
                raise RuntimeError(f"{seen} chunks of {chunks} arrived")

        before = process.cpu_times()
        await asyncio.gather(*(one() for _ in range(STREAMS)))
        after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    late.sort()
    return 1e6 * used / (STREAMS * chunks), late[len(late) // 2], late[len(late) * 99 // 100]


@asynccontextmanager
async def _floor() -> AsyncIterator[tuple[str, psutil.Process]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.floor",
        stdout=asyncio.subprocess.PIPE, env=dict(os.environ),
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip(), psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()
