"""A real daemon for the length of a measurement, and a client that takes times."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil


@dataclass
class Daemon:
    """A running daemon.

    Attributes:
        url: its root.
        process: for memory and CPU time.
        started: `time.monotonic()` just before its process was started.
        ready: the same when it had said that it listens.
    """

    url: str
    process: psutil.Process
    client: aiohttp.ClientSession
    started: float
    ready: float

    async def health(self) -> dict[str, Any]:
        """What `/health` says."""
        async with self.client.get(f"{self.url}/health") as response:
            return dict(await response.json())

    async def spare(self, backend: str) -> None:
        """Wait until an agent of the backend is ready and nothing else goes on."""
        while True:
            reports = {report["name"]: report for report in (await self.health())["backends"]}
            pool = reports[backend]["pool"]
            ready = pool["agents"] and not pool["starting"] and not pool["busy"]
            # An agent of many conversations is its own spare as long as it has room.
            if ready and (pool["spares"] or backend != "claude"):
                return
            await asyncio.sleep(0.05)

    async def ask(self, **body: Any) -> tuple[float, float, str]:
        """Stream a prompt: seconds to first text, to the end, and the session's id."""
        begin = time.perf_counter()
        first = 0.0
        session = ""
        async with self.client.post(
            f"{self.url}/api/v1/prompt", json=body, headers={"Accept": "text/event-stream"}
        ) as response:
            response.raise_for_status()
            async for line in response.content:
                if not first and line.startswith(b'data: {"type":"message"'):
                    first = time.perf_counter() - begin
                if line.startswith(b'data: {"type":"error"'):
                    raise RuntimeError(line.decode())
                if line.startswith(b'data: {"type":"complete"'):
                    session = json.loads(line[6:]).get("session_id", "")
        return first, time.perf_counter() - begin, session

    async def chat(self, body: dict[str, Any]) -> tuple[float, str]:
        """Stream a chat completion: when the first text came, and the whole text."""
        first = 0.0
        text = ""
        url = f"{self.url}/openai/v1/chat/completions"
        async with self.client.post(url, json=body) as response:
            response.raise_for_status()
            async for line in response.content:
                if not line.startswith(b'data: {"id"'):
                    continue
                for choice in json.loads(line[6:])["choices"]:
                    if piece := choice["delta"].get("content"):
                        first = first or time.perf_counter()
                        text += piece
        return first, text


@asynccontextmanager
async def daemon(
    folder: Path, settings: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> AsyncIterator[Daemon]:
    """Start `clinvk serve` with these settings in a private folder; stop it afterwards."""
    home = folder / "clinvk"
    home.mkdir(exist_ok=True)
    (home / "config.yaml").write_text(json.dumps(settings))  # JSON is YAML
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "clinvkd", "serve", "--port", "0",
        env={
            "HOME": str(folder),
            "PATH": os.environ["PATH"],
            **(environment or {}),
            "CLINVK_HOME": str(home),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=(folder / "log").open("wb"),
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        ready = time.monotonic()
        match = re.search(r"http://\S+", line)
        if match is None:
            raise RuntimeError(f"the daemon did not start: {line} {(folder / 'log').read_text()}")
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as client:
            yield Daemon(match.group(), psutil.Process(process.pid), client, started, ready)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
