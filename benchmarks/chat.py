"""A chat that resends its whole history each turn, as SDK users do: how flat are its turns."""

from __future__ import annotations

import time
from pathlib import Path

from tests.real_agents import AGENTS, installed, prepare

from .daemon import Daemon, daemon
from .first_text import COLD
from .report import Section, median, seconds

TURNS = 20


async def measure(folder: Path, runs: int) -> Section:
    """Twenty turns through the OpenAI dialect, several chats one after the other."""
    chats = max(2, runs // 3)
    rows: list[tuple[str, ...]] = []
    for name in COLD:
        if name not in installed():
            rows.append((name, "not installed", "", "", ""))
            continue
        rows.append(await _measure(name, folder, chats))
    return Section(
        "chat",
        "A chat of twenty turns that resends its history",
        ("agent", "first turn", "turns 2 to 6", "turns 16 to 20", "turns continued"),
        rows,
        [
            (
                f"Time to first text through `POST /openai/v1/chat/completions`, median [range] of"
                f" {chats} chats; every turn sends all messages again, and the pool goes on with"
                " the conversation that holds them. The provider is a fake one on loopback."
            )
        ],
    )


async def _measure(name: str, folder: Path, chats: int) -> tuple[str, ...]:
    firsts: list[list[float]] = []
    async with AGENTS[name]() as provider:
        agent = prepare(name, provider.url, folder)
        arguments = ["--acp"] if name == "gemini" else []
        backend = {
            "environment": agent.environment,
            "command": [*agent.command, *arguments],
        }
        others = {other: {"enabled": False} for other in (*COLD, "local") if other != name}
        settings = {"backends": {name: backend, **others}, "default_backend": name}
        async with daemon(folder, settings) as served:
            for _ in range(chats):
                await served.spare(name)
                firsts.append(await _chat(served, name))
            reports = (await served.health())["backends"]
    turns = next(report["pool"]["turns"] for report in reports if report["name"] == name)
    return (
        name,
        seconds([chat[0] for chat in firsts]),
        seconds([median(chat[1:6]) for chat in firsts]),
        seconds([median(chat[15:20]) for chat in firsts]),
        f"{turns.get('continue', 0)} of {chats * (TURNS - 1)}",
    )


async def _chat(served: Daemon, name: str) -> list[float]:
    messages: list[dict[str, str]] = []
    firsts = []
    for number in range(TURNS):
        messages.append({"role": "user", "content": f"message {number}"})
        body = {"model": name, "messages": messages, "stream": True}
        begin = time.perf_counter()
        first, text = await served.chat(body)
        firsts.append(first - begin)
        messages.append({"role": "assistant", "content": text})
    return firsts
