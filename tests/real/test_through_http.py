"""The whole way: a real daemon in front of the real CLIs, asked over HTTP by many at once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from clinvkd.pool.descendants import MARKER
from tests.api.service import eventually, until
from tests.daemon import Daemon, daemon
from tests.providers import FakeProvider
from tests.providers.script import Script, obey_directives
from tests.real_agents import AGENTS, prepare, require

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

CLIS = ("claude", "codex", "gemini")
CALLERS = 20
MOST_GROWTH = 64 * 1024 * 1024
"""Bytes by which the daemon may grow while it serves all of them."""
EVENT_STREAM = {"Accept": "text/event-stream"}


class Served:
    """A daemon with one real backend."""

    def __init__(self, daemon: Daemon, name: str, provider: FakeProvider) -> None:
        self.daemon = daemon
        self.name = name
        self.provider = provider
        self.client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def events(
        self, prompt: str, spoken: asyncio.Event | None = None, **fields: Any
    ) -> list[dict[str, Any]]:
        """All events of one streamed prompt; `spoken` is set when the first text has come."""
        body = {"backend": self.name, "prompt": prompt, **fields}
        async with self.client.post(
            f"{self.daemon.url}/api/v1/prompt", json=body, headers=EVENT_STREAM
        ) as response:
            assert response.status == 200, await response.text()
            events = []
            async for line in response.content:
                if line.startswith(b"data: "):
                    events.append(json.loads(line[6:]))
                    if spoken is not None and events[-1]["type"] == "message":
                        spoken.set()
            return events

    async def pool(self) -> dict[str, Any]:
        async with self.client.get(f"{self.daemon.url}/health") as response:
            reports = (await response.json())["backends"]
        return next(dict(r["pool"]) for r in reports if r["name"] == self.name)

    async def until(self, **figures: int) -> None:
        """Wait until the pool has these figures."""

        async def reached() -> bool:
            return figures.items() <= (await self.pool()).items()

        await eventually(reached)


@asynccontextmanager
async def serving(
    name: str, folder: Path, script: Script = obey_directives, **pool: Any
) -> AsyncIterator[Served]:
    require(name)
    async with AGENTS[name](script) as provider:
        agent = prepare(name, provider.url, folder)
        arguments = ["--acp"] if name == "gemini" else []
        section = {
            "command": [*agent.command, *arguments],
            "environment": agent.environment,
            "pool": pool,
        }
        others = {n: {"enabled": False} for n in (*CLIS, "local") if n != name}
        config = json.dumps({"backends": {name: section, **others}})
        async with daemon(folder / "daemon", config) as running:
            served = Served(running, name, provider)
            try:
                yield served
            finally:
                await served.client.close()


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(e["content"]["text"] for e in events if e["type"] == "message")


@pytest.mark.parametrize("name", CLIS)
async def test_twenty_callers_at_once_each_get_their_own_answer_token_by_token(
    name: str, tmp_path: Path
) -> None:
    async with serving(name, tmp_path, parked=0, queue_wait_secs=150) as served:
        process = psutil.Process(served.daemon.process.pid)
        await served.events("the first one opens what stays open")
        await served.until(busy=0, parked=0)
        before, resident = process.num_fds(), process.memory_info().rss

        async def one(number: int) -> list[dict[str, Any]]:
            directive = json.dumps({"words": 8, "delay": 0.02})
            return await served.events(f"marker=caller{number}x %%{directive}%%")

        answers = await asyncio.gather(*(one(number) for number in range(CALLERS)))
        for number, events in enumerate(answers):
            assert text_of(events).endswith(f"marker=caller{number}x"), events
            assert events[-1]["type"] == "complete"
            assert events[-1]["content"]["exit_code"] == 0
            assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
            assert sum(event["type"] == "message" for event in events) >= 4
        await served.until(busy=0, queued=0, starting=0)
        assert (await served.pool())["restarts"] == 0
        # The pool may keep one agent more than at the beginning; nothing else stays open.
        agents = (await served.pool())["agents"]
        await until(lambda: process.num_fds() <= before + 4 * agents + CALLERS)
        assert process.memory_info().rss < resident + MOST_GROWTH


@pytest.mark.parametrize("name", CLIS)
async def test_an_agent_killed_in_mid_turn_costs_one_caller_an_error_and_the_pool_fills_again(
    name: str, tmp_path: Path
) -> None:
    async with serving(name, tmp_path) as served:
        spoken = asyncio.Event()
        asked = served.events('%%{"words": 9, "hold_after": 3}%%', spoken)
        running = asyncio.get_running_loop().create_task(asked)
        async with asyncio.timeout(60):
            await spoken.wait()
        for child in psutil.Process(served.daemon.process.pid).children():
            with suppress(psutil.Error):  # some have ended meanwhile
                if child.environ().get(MARKER, "").startswith(name):
                    os.kill(child.pid, signal.SIGKILL)
        async with asyncio.timeout(60):
            events = await running
        assert [event["type"] for event in events][-2:] == ["error", "complete"]
        assert events[-2]["content"]["code"] == "agent_exited"
        assert events[-1]["content"]["exit_code"] == 1
        assert text_of(await served.events("are you there? marker=again")).endswith("marker=again")
        await served.until(starting=0)
        assert (await served.pool())["agents"] >= 1


@pytest.mark.parametrize("name", CLIS)
async def test_stopping_ends_streams_in_band_and_leaves_no_process(
    name: str, tmp_path: Path
) -> None:
    async with serving(name, tmp_path) as served:
        spoken = asyncio.Event()
        asked = served.events('%%{"words": 9, "hold_after": 3}%%', spoken)
        running = asyncio.get_running_loop().create_task(asked)
        async with asyncio.timeout(60):
            await spoken.wait()
        children = served.daemon.children()
        assert children
        served.daemon.signal(signal.SIGTERM)
        events = await running
        assert [event["type"] for event in events][-2:] == ["error", "complete"]
        assert events[-2]["content"]["code"] == "shutting_down"
        assert await served.daemon.ended() == 0
        _, alive = await asyncio.to_thread(psutil.wait_procs, children, 5)
        assert not alive, [child.cmdline() for child in alive]


@pytest.mark.parametrize("name", CLIS)
async def test_the_turns_of_one_session_show_the_provider_each_message_once(
    name: str, tmp_path: Path
) -> None:
    turns = 5
    async with serving(name, tmp_path) as served:
        session: dict[str, Any] = {}
        for number in range(turns):
            events = await served.events(f"message {number} marker=m{number}x", **session)
            session = {"session_id": events[-1]["session_id"]}
        figures = await served.pool()
        assert figures["turns"].get("continue") == turns - 1
        said = served.provider.turns[-1].conversation.utterances
        assert [u.text for u in said if u.role == "user"] == [
            f"message {number} marker=m{number}x" for number in range(turns)
        ]
