"""Time to first text: a cold CLI against clinvk with a spare and with a continued conversation."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.real_agents import AGENTS, RealAgent, installed, prepare

from .daemon import Daemon, daemon
from .report import Section, median, seconds

PROMPT = "hi"

COLD: dict[str, tuple[str, ...]] = {
    "claude": (
        "-p", PROMPT, "--output-format", "stream-json", "--verbose", "--include-partial-messages",
    ),
    "codex": ("exec", "--json", "--skip-git-repo-check", PROMPT),
    "gemini": ("-p", PROMPT, "-o", "stream-json"),
}  # fmt: skip


def _claude_text(line: dict[str, Any]) -> bool:
    return bool(line.get("event", {}).get("delta", {}).get("type") == "text_delta")


def _codex_text(line: dict[str, Any]) -> bool:
    return bool(line.get("item", {}).get("type") == "agent_message")


def _gemini_text(line: dict[str, Any]) -> bool:
    return line.get("type") == "message" and line.get("role") == "assistant"


IS_TEXT: dict[str, Callable[[dict[str, Any]], bool]] = {
    "claude": _claude_text,
    "codex": _codex_text,
    "gemini": _gemini_text,
}


async def measure(folder: Path, runs: int) -> Section:
    """Interleave cold, spare and continued for each CLI; medians."""
    rows: list[tuple[str, ...]] = []
    for name, cold_arguments in COLD.items():
        if name not in installed():
            rows.append((name, "not installed", "", "", ""))
            continue
        rows.append(await _measure(name, cold_arguments, folder, runs))
    return Section(
        "first-text",
        "Time to first text: cold CLI against clinvk",
        ("agent", "cold CLI", "clinvk, spare", "clinvk, continued", "earlier than cold"),
        rows,
        [
            (
                f"Median [range] of {runs} interleaved runs of each case; the CLIs are real,"
                " the model a fake provider on loopback that answers at once, so the figures are"
                " all overhead."
            ),
            (
                "The cold CLI is run in its streaming JSON mode; `codex exec` has no deltas, its"
                " first text is the whole answer."
            ),
        ],
    )


async def _measure(
    name: str, cold_arguments: tuple[str, ...], folder: Path, runs: int
) -> tuple[str, ...]:
    cold: list[float] = []
    spare: list[float] = []
    continued: list[float] = []
    async with AGENTS[name]() as provider:
        agent = prepare(name, provider.url, folder)
        backend = {
            "environment": agent.environment,
            "command": [*agent.command, *(["--acp"] if name == "gemini" else [])],
        }
        others = {other: {"enabled": False} for other in (*COLD, "local") if other != name}
        settings = {"backends": {name: backend, **others}, "default_backend": name}
        async with daemon(folder, settings) as served:
            await _warm_up(served, name, agent, cold_arguments)
            for _ in range(runs):
                cold.append(await _cold(agent, cold_arguments, IS_TEXT[name]))
                await served.spare(name)
                first, _, session = await served.ask(backend=name, prompt=PROMPT)
                spare.append(first)
                await served.spare(name)  # the refilled spare must not compete for the processor
                first, _, _ = await served.ask(backend=name, prompt=PROMPT, session_id=session)
                continued.append(first)
    ratio = f"{median(cold) / median(spare):.1f}x / {median(cold) / median(continued):.1f}x"
    return name, seconds(cold), seconds(spare), seconds(continued), ratio


async def _warm_up(
    served: Daemon, name: str, agent: RealAgent, cold_arguments: tuple[str, ...]
) -> None:
    await _cold(agent, cold_arguments, IS_TEXT[name])
    await served.spare(name)
    await served.ask(backend=name, prompt=PROMPT)


async def _cold(
    agent: RealAgent, arguments: tuple[str, ...], is_text: Callable[[dict[str, Any]], bool]
) -> float:
    begin = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *agent.command,
        *arguments,
        env=agent.environment,
        cwd=agent.directory,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=1 << 24,
    )
    assert process.stdout is not None
    first = 0.0
    async for raw in process.stdout:
        if not first and raw.startswith(b"{") and is_text(json.loads(raw)):
            first = time.perf_counter() - begin
    await process.wait()
    if not first:
        raise RuntimeError(f"{agent.name} gave no text")
    return first
