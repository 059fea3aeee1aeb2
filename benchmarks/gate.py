"""What the gate costs a request, and what slow peers cost everybody else."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from .daemon import Daemon, daemon
from .gate_server import KEY
from .report import Section, median

REQUEST = (
    "GET /openai/v1/models HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\n"
    f"Accept: */*\r\nAuthorization: Bearer {KEY}\r\n\r\n"
).encode()
SERVED = {
    "bare": "the handler alone",
    "full": "behind the whole gate",
    "uninspected": "… without the request inspector",
    "unlogged": "… and without the access log",
}
"""What is asked, as `gate_server` calls it."""

CLIENTS = 4
REQUESTS = 2000
PEERS = 300
SECONDS = 60.0


async def cost(folder: Path, runs: int) -> Section:
    """Requests per second of the model list, bare and behind the gate, in turns."""
    figures: dict[str, list[tuple[float, float]]] = {kind: [] for kind in SERVED}
    async with AsyncExitStack() as stack:
        servers = {kind: await stack.enter_async_context(_server(folder, kind)) for kind in figures}
        for port, _ in servers.values():
            await _ask(port, REQUESTS)
        for _ in range(runs):
            for kind, (port, process) in servers.items():
                figures[kind].append(await _measured(port, process))
    rates = {kind: median([rate for rate, _ in found]) for kind, found in figures.items()}
    spent = {kind: median([cpu for _, cpu in found]) for kind, found in figures.items()}
    # Of each round by itself: what else the machine does slows a round down as a whole.
    shares = {
        kind: [rate / bare for (rate, _), (bare, _) in zip(found, figures["bare"], strict=True)]
        for kind, found in figures.items()
    }
    rows: list[tuple[str, ...]] = [
        (
            name,
            f"{rates[kind]:.0f}",
            f"{1e6 * spent[kind]:.0f} µs",
            f"{median(shares[kind]):.0%}",
        )
        for kind, name in SERVED.items()
    ]
    return Section(
        "gate-cost",
        "What the gate costs a request",
        ("`GET /openai/v1/models`", "requests per second", "CPU per request", "rate, of the bare"),
        rows,
        [
            (
                f"Medians of {runs} rounds in turns, {REQUESTS} requests each over {CLIENTS} kept"
                " connections; the gate has a key, a rate limit in memory and an allowed origin,"
                " and writes a line of log for each request. The handler alone is served without"
                " any middleware."
            )
        ],
    )


async def slow_peers(folder: Path, runs: int) -> Section:
    """A probe, a stream and the memory while peers of each slow kind are there."""
    del runs  # a minute of each kind tells
    rows: list[tuple[str, ...]] = []
    for kind, behave in KINDS.items():
        place = folder / kind.replace(" ", "-")
        place.mkdir()
        settings = {"default_backend": "echo", "pool": {"queue_length": 1000}}
        async with daemon(place, settings) as served:
            await served.spare("echo")
            await served.ask(backend="echo", prompt="hi")
            rows.append((kind, *(await _beside(served, behave)).cells()))
    return Section(
        "gate-slow",
        f"With {PEERS} slow peers of each kind for {SECONDS:.0f} s",
        ("what they do", "`/health`, p50", "p99", "a stream beside them", "memory grew by"),
        rows,
        [
            (
                "The probe asks every 0.1 s over a new connection."
                " The stream sends a word every 0.2 s."
            )
        ],
    )


@dataclass(frozen=True)
class _Beside:
    probes: list[float]
    words: int
    expected: int
    longest: float
    grown: float

    def cells(self) -> tuple[str, str, str, str]:
        ordered = sorted(self.probes)
        p99 = ordered[int(len(ordered) * 0.99)]
        whole = "whole" if self.words == self.expected else f"{self.words} of {self.expected} words"
        return (
            f"{1000 * median(ordered):.1f} ms",
            f"{1000 * p99:.1f} ms",
            f"{whole}, at most {1000 * self.longest:.0f} ms apart",
            f"{self.grown / 1e6:.1f} MB",
        )


async def _head(port: int) -> None:
    """A byte of a head each second, and again when it is cut."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.1\r\nX-Slow: ")
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                with suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await reader.read(1)
        writer.close()


async def _body(port: int) -> None:
    """A byte of a body each second, and again when it is cut."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /api/v1/prompt HTTP/1.1\r\nHost: localhost\r\n"
            b'Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"prompt": "'
        )
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                with suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await reader.read(1)
        writer.close()


async def _reader(port: int) -> None:
    """Asks for a stream and reads none of it."""
    body = b'{"backend": "echo", "prompt": "[[long 2000]]word"}'
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(
        b"POST /api/v1/prompt HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    try:
        await asyncio.Event().wait()
    finally:
        writer.close()


async def _idle(port: int) -> None:
    """Connects, sends nothing, and again when it is closed."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionError):
            await reader.read()
        writer.close()


KINDS = {"silent": _idle, "slow head": _head, "slow body": _body, "slow reader": _reader}


async def _beside(served: Daemon, behave: Callable[[int], Coroutine[Any, Any, None]]) -> _Beside:
    port = int(served.url.rpartition(":")[2])
    memory = served.process.memory_info().rss
    probes: list[float] = []
    words: list[float] = []
    number = int(SECONDS / 0.2)
    async with asyncio.TaskGroup() as group:
        peers = [group.create_task(behave(port)) for _ in range(PEERS)]
        stream = group.create_task(_stream(served, number, words))
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            begin = time.perf_counter()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            if b" 200 " not in await reader.readline():
                raise RuntimeError("the probe was refused")
            await reader.read()
            probes.append(time.perf_counter() - begin)
            writer.close()
            await asyncio.sleep(0.1)
        await stream
        grown = served.process.memory_info().rss - memory
        for peer in peers:
            peer.cancel()
    gaps = [after - before for before, after in itertools.pairwise(words)]
    return _Beside(probes, len(words), number, max(gaps), grown)


async def _stream(served: Daemon, number: int, words: list[float]) -> None:
    body = {"backend": "echo", "prompt": f"[[slow 0.2]][[long {number}]]word"}
    headers = {"Accept": "text/event-stream"}
    url = f"{served.url}/api/v1/prompt"
    async with served.client.post(url, json=body, headers=headers) as response:
        async for line in response.content:
            said = line.startswith(b'data: {"type":"message"')
            words += [time.monotonic()] * said


async def _measured(port: int, process: psutil.Process) -> tuple[float, float]:
    """Requests per second, and seconds of CPU per request."""
    before, begin = process.cpu_times(), time.perf_counter()
    await asyncio.gather(*(_ask(port, REQUESTS // CLIENTS) for _ in range(CLIENTS)))
    seconds, after = time.perf_counter() - begin, process.cpu_times()
    cpu = after.user + after.system - before.user - before.system
    return REQUESTS / seconds, cpu / REQUESTS


async def _ask(port: int, number: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(number):
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(head.decode())
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
    writer.close()


@asynccontextmanager
async def _server(folder: Path, kind: str) -> AsyncIterator[tuple[int, psutil.Process]]:
    home = folder / kind
    home.mkdir()
    with (home / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.gate_server", kind, str(home),
            stdout=asyncio.subprocess.PIPE, stderr=log,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline()), psutil.Process(process.pid)
    finally:
        process.kill()
        await process.wait()
