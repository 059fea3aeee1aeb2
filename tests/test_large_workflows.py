"""Large prompts and many tasks go through a real daemon without staying in its memory."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import psutil
from aiohttp import ClientSession

from .daemon import Daemon, daemon

CONFIG = """
default_backend: echo
backends: {local: {enabled: false}}
log: {level: error}
"""
JSON = {"Content-Type": "application/json"}
MEGABYTE = "0123456789abcdef" * 65_536
COMPARE = ("compare", {"backends": ["echo"] * 4, "prompt": MEGABYTE})
PARALLEL = (
    "parallel",
    {
        "max_parallel": 8,
        "tasks": [{"backend": "echo", "prompt": f"{n} {'x' * 10_000}"} for n in range(100)],
    },
)
MOST_GROWTH = 40 * 1024 * 1024
"""A third of what goes in and out in the meantime."""


async def ask(running: Daemon, client: ClientSession, name: str, body: dict[str, Any]) -> None:
    url, data = f"{running.url}/api/v1/{name}", BytesIO(json.dumps(body).encode())
    async with client.post(url, data=data, headers=JSON) as response:
        assert response.status == 200
        results = (await response.json())["results"]
    asked = [body["prompt"]] * 4 if name == "compare" else [t["prompt"] for t in body["tasks"]]
    assert [result["output"] for result in results] == asked


async def test_memory_is_bounded(tmp_path: Path) -> None:
    async with daemon(tmp_path, CONFIG) as running, ClientSession() as client:
        process = psutil.Process(running.process.pid)
        for name, body in (COMPARE, PARALLEL) * 3:  # until buffers and parked conversations are
            await ask(running, client, name, body)
        before = process.memory_info().rss
        for name, body in (COMPARE, PARALLEL) * 12:
            await ask(running, client, name, body)
        print(f"{(process.memory_info().rss - before) / 1e6:.1f} MB more than {before / 1e6:.1f}")
        assert process.memory_info().rss - before < MOST_GROWTH
