"""What a store of 100,000 sessions costs: a page of the list, and one session continued."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from clinvkd.events import Usage
from clinvkd.prompt import Message, Prompt, Text
from clinvkd.store import Store, TurnRecord

from .daemon import Daemon, daemon
from .report import Section, median, seconds

FEW, MANY = 100, 100_000
WORDS = "What was said takes the place of a short prompt, and of a short answer as well. " * 4
BATCH = 500


async def measure(folder: Path, runs: int) -> Section:
    """The same requests to two daemons in turns: one with few sessions, one with many."""
    runs *= 10
    names = {number: await _filled(folder / str(number), number) for number in (FEW, MANY)}
    rows: list[tuple[str, ...]] = []
    settings = {"default_backend": "echo", "log": {"level": "error"}}
    async with (
        daemon(folder / str(FEW), settings) as few,
        daemon(folder / str(MANY), settings) as many,
    ):
        served = {FEW: few, MANY: many}
        for one in served.values():
            await one.spare("echo")
        cases: list[tuple[str, Callable[[Daemon, list[str]], Awaitable[None]]]] = [
            ("a page of 100 sessions", _page),
            ("a page of one backend's", _backends_page),
            ("one looked up by a prefix", _look_up),
            ("one continued by its id", _continue),
            ("one continued by its history", _continue_chat),
        ]
        for title, ask in cases:
            times: dict[int, list[float]] = {FEW: [], MANY: []}
            for number in range(runs + 5):
                for size, one in served.items():
                    begin = time.perf_counter()
                    await ask(one, names[size])
                    if number >= 5:  # the first ones warm up
                        times[size].append(time.perf_counter() - begin)
            ratio = median(times[MANY]) / median(times[FEW])
            rows.append((title, seconds(times[FEW]), seconds(times[MANY]), f"{ratio:.2f}x"))
    return Section(
        "sessions",
        "A store of 100,000 sessions",
        ("request", f"{FEW} sessions", f"{MANY:,} sessions", "ratio"),
        rows,
        [
            (
                f"Whole requests over HTTP, median [range] of {runs} each, in turns against two"
                " daemons with `echo`; a session continued is another one each time, not held in"
                " memory, so that its history is read from the database."
            )
        ],
    )


async def _filled(folder: Path, number: int) -> list[str]:
    """Ids of the sessions of a new store below the home directory `folder`."""
    path = folder / "clinvk" / "clinvk.db"
    store = Store.open(path)
    names = [secrets.token_hex(16) for _ in range(number)]
    now = time.time() - number
    for first in range(0, number, BATCH):  # calls that wait together share a transaction
        batch = enumerate(names[first : first + BATCH], start=first)
        await asyncio.gather(
            *(store.sessions.record(_turn(name, now + index)) for index, name in batch)
        )
    await store.aclose()
    return names


def _turn(name: str, ended_at: float) -> TurnRecord:
    text = (Text(WORDS + name),)
    return TurnRecord(
        prompt=Prompt(backend="echo", messages=(Message("user", text),)),
        reply=Message("assistant", text),
        ended_at=ended_at,
        session_id=name,
        usage=Usage(input_tokens=10, output_tokens=10),
        tags=("api",),
    )


async def _page(served: Daemon, names: list[str]) -> None:
    await _get(served, "/api/v1/sessions?limit=100")


async def _backends_page(served: Daemon, names: list[str]) -> None:
    await _get(served, "/api/v1/sessions?limit=100&backend=echo")


async def _look_up(served: Daemon, names: list[str]) -> None:
    await _get(served, f"/api/v1/sessions/{random.choice(names)[:16]}")


async def _continue(served: Daemon, names: list[str]) -> None:
    body = {"prompt": "more", "session_id": random.choice(names)}
    async with served.client.post(f"{served.url}/api/v1/prompt", json=body) as response:
        await response.read()
        response.raise_for_status()


async def _continue_chat(served: Daemon, names: list[str]) -> None:
    said = WORDS + random.choice(names)
    messages = [
        {"role": "user", "content": said},
        {"role": "assistant", "content": said},
        {"role": "user", "content": "more"},
    ]
    url = f"{served.url}/openai/v1/chat/completions"
    async with served.client.post(url, json={"model": "echo", "messages": messages}) as response:
        await response.read()
        response.raise_for_status()


async def _get(served: Daemon, path: str) -> None:
    async with served.client.get(served.url + path) as response:
        await response.read()
        response.raise_for_status()
