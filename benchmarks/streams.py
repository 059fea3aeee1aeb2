"""Delay and CPU time per streamed chunk, clinvk against the floor, paced and in a burst."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil

from .daemon import daemon
from .report import Section, median

STREAMS = 50
PACED_CHUNKS = 100
PACE = 0.02
BURST_CHUNKS = 2_000


async def measure(folder: Path, runs: int) -> Section:
    """Both servers in turns, the same agent and the same client."""
    rounds = max(3, runs // 3)
    figures: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    settings = {"default_backend": "echo", "server": {"heartbeat_secs": 60}}
    async with daemon(folder, settings) as served, _floor() as (floor_url, floor):
        await served.spare("echo")
        servers = {"floor": (floor_url, floor), "clinvk": (served.url, served.process)}
        for _ in range(rounds):
            for name, (url, process) in servers.items():
                paced = f"[[long {PACED_CHUNKS}]] [[slow {PACE}]]"
                burst = f"[[long {BURST_CHUNKS}]]"
                for kind, prompt, chunks in (
                    ("paced", paced, PACED_CHUNKS),
                    ("burst", burst, BURST_CHUNKS),
                ):
                    result = await _load(url, process, prompt, chunks)
                    figures.setdefault((name, kind), []).append(result)
    rows = []
    for kind in ("paced", "burst"):
        floor_cpu, clinvk_cpu = (
            median([cpu for cpu, _, _ in figures[name, kind]]) for name in ("floor", "clinvk")
        )
        cells = [kind, f"{floor_cpu:.1f} ms", f"{clinvk_cpu:.1f} ms"]
        cells.append(f"{clinvk_cpu / floor_cpu:.2f}x")
        if kind == "paced":
            for index in (1, 2):
                floor_late, clinvk_late = (
                    median([figure[index] for figure in figures[name, kind]])
                    for name in ("floor", "clinvk")
                )
                cells.append(f"{1000 * (clinvk_late - floor_late):+.2f} ms")
        else:
            cells += ["", ""]
        rows.append(tuple(cells))
    return Section(
        "stream",
        "Per streamed chunk: clinvk against the floor",
        (
            "load", "CPU per 1,000 chunks, floor", "CPU per 1,000 chunks, clinvk", "ratio",
            "added delay, p50", "added delay, p99",
        ),
        rows,
        [
            (f"{STREAMS} streams at once over `echo`, {rounds} interleaved rounds, medians. Paced:"
            f" {PACED_CHUNKS} chunks each, one every {1000 * PACE:.0f} ms. Burst: {BURST_CHUNKS}"
            " chunks each, as fast as the agent can."),
            ("The floor (`benchmarks/floor.py`) is a bare aiohttp handler: no middleware, no"
            " validation, typed decode, preformatted events, one write per read."),
            ("CPU is the server process alone. Delay is the time by which a chunk comes later than"
            " its pace, counted from the stream's first chunk."),
        ],
    )  # fmt: skip


async def _load(
    url: str, process: psutil.Process, prompt: str, chunks: int
) -> tuple[float, float, float]:
    """CPU milliseconds per 1,000 chunks, and the p50 and p99 of the chunks' lateness."""
    late: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

        async def one() -> None:
            headers = {"Accept": "text/event-stream"}
            body = {"prompt": prompt, "backend": "echo", "ephemeral": True}
            seen = 0
            first = 0.0
            async with client.post(f"{url}/api/v1/prompt", json=body, headers=headers) as response:
                async for data, _ in response.content.iter_chunks():
                    now = time.perf_counter()
                    for _ in range(data.count(b'"type":"message"')):
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
    cpu = 1e6 * used / (STREAMS * chunks)
    return cpu, late[len(late) // 2], late[len(late) * 99 // 100]


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
