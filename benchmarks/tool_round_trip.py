"""Tools: from the caller's results to the next text of a parked conversation, with and without us.

The same CLI, spoken to directly and through `POST /openai/v1/chat/completions`, in turns.
"""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clinvkd.config import DriverName
from clinvkd.events import Request, TextDelta
from clinvkd.prompt import Message, Prompt, Text, Tool, ToolResult, ToolUse
from tests.providers import RecordedRequest, Reply
from tests.providers.script import ToolCall
from tests.real_agents import AGENTS, installed, prepare

from .daemon import Daemon, daemon
from .direct import Direct, direct
from .report import Section, median, seconds

ROUNDS = 10
"""Of each conversation."""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = Tool("weather", "Tells the weather.", SCHEMA)
FUNCTION = {
    "type": "function",
    "function": {"name": "weather", "description": "Tells the weather.", "parameters": SCHEMA},
}
QUESTION, RESULT = "How is the weather?", "It rains."


@dataclass(frozen=True)
class Cli:
    """How a CLI is started, and what its model calls the tool."""

    driver: DriverName
    arguments: tuple[str, ...] = ()
    tool: str = "weather"
    model: str | None = None


CLIS = {
    "claude": Cli("claude"),
    "codex": Cli("codex"),
    "gemini": Cli("acp", ("--acp",), "mcp_clinvk_weather", "gemini-2.5-flash"),
}


async def measure(folder: Path, runs: int) -> Section:
    """Each CLI for itself; conversations of ten rounds, round by round in turns."""
    conversations = max(2, runs // 3)
    rows: list[tuple[str, ...]] = []
    for name, cli in CLIS.items():
        if name not in installed():
            rows.append((name, "not installed", "", ""))
            continue
        rows.append(await _measure(name, cli, folder, conversations))
    return Section(
        "tool-round-trip",
        "Tools: from the results to the next text",
        ("agent", "spoken to directly", "through clinvk", "added, median"),
        rows,
        [
            (
                f"Median [range] of {conversations} conversations of {ROUNDS} rounds each way,"
                " round by round in turns, in one run; what is added is the median of the rounds'"
                " differences. The caller sends the whole exchange with"
                " the result at its end, over HTTP; the conversation that waits for it goes on."
            ),
            (
                "Spoken to directly, the same CLI gets the same messages over its own protocol,"
                " with neither HTTP nor pool (`benchmarks/direct.py`). The provider is a fake one"
                " on loopback that calls the tool again and again."
            ),
        ],
    )


async def _measure(name: str, cli: Cli, folder: Path, conversations: int) -> tuple[str, ...]:
    alone: list[float] = []
    through: list[float] = []
    numbers = itertools.count(1)

    def call_again(_: RecordedRequest) -> Reply:
        # Never the same twice: gemini ends a conversation that seems to go round in circles.
        number = next(numbers)
        call = ToolCall(cli.tool, {"city": f"City {number}"})
        return Reply(text=f"Now {number}. ", chunks=1, tools=(call,))

    async with AGENTS[name](call_again) as provider:
        agent = prepare(name, provider.url, folder)
        backend = {
            "environment": agent.environment,
            "command": [*agent.command, *cli.arguments],
            **({"model": cli.model} if cli.model else {}),
        }
        others = {other: {"enabled": False} for other in (*CLIS, "local") if other != name}
        settings = {"backends": {name: backend, **others}, "default_backend": name}
        prompt = Prompt(
            backend=name,
            messages=(Message("user", (Text(QUESTION),)),),
            model=cli.model,
            tools=(WEATHER,),
        )
        async with daemon(folder, settings) as served:
            for number in range(conversations + 1):
                await served.spare(name)
                scratch = folder / f"{name}-{number}"
                async with direct(agent, cli.driver, cli.arguments, scratch, prompt) as one:
                    pairs = await _conversation(_Alone(one, prompt), _Through(served, name))
                if number:  # the first is to warm up
                    alone += [pair[0] for pair in pairs]
                    through += [pair[1] for pair in pairs]
    added = median([one - other for one, other in zip(through, alone, strict=True)])
    return name, seconds(alone), seconds(through), f"{1000 * added:.1f} ms"


async def _conversation(alone: _Alone, through: _Through) -> list[tuple[float, float]]:
    await alone.begin()
    await through.begin()
    return [(await alone.round(), await through.round()) for _ in range(ROUNDS)]


class _Alone:
    """The conversation without clinvk."""

    def __init__(self, agent: Direct, prompt: Prompt) -> None:
        self._agent = agent
        self._prompt = prompt

    async def begin(self) -> None:
        await self._agent.begin(self._prompt)
        await self.round()

    async def round(self) -> float:
        """Say what is new; seconds to the first text."""
        begin = time.perf_counter()
        first = 0.0
        said: list[Text | ToolUse] = []
        async for event in self._agent.ask(self._prompt):
            match event:
                case TextDelta(text):
                    first = first or time.perf_counter() - begin
                    said.append(Text(text))
                case Request(call, name, arguments):
                    said.append(ToolUse(call, name, arguments))
        results = tuple(
            ToolResult(block.id, (Text(RESULT),)) for block in said if isinstance(block, ToolUse)
        )
        told = (Message("assistant", tuple(said)), Message("user", results))
        self._prompt = replace(self._prompt, messages=(*self._prompt.messages, *told))
        return first


class _Through:
    """The conversation as a client of the OpenAI API leads it."""

    def __init__(self, served: Daemon, name: str) -> None:
        self._served = served
        self._name = name
        self._messages: list[dict[str, Any]] = [{"role": "user", "content": QUESTION}]

    async def begin(self) -> None:
        await self.round()
        # The spare that follows the one that was taken must not compete for the processor.
        await self._served.spare(self._name)

    async def round(self) -> float:
        """Send everything; seconds to the first text."""
        body = {
            "model": self._name,
            "messages": self._messages,
            "tools": [FUNCTION],
            "stream": True,
        }
        url = f"{self._served.url}/openai/v1/chat/completions"
        begin = time.perf_counter()
        first, text = 0.0, ""
        calls: dict[int, dict[str, Any]] = {}
        async with self._served.client.post(url, json=body) as response:
            response.raise_for_status()
            async for line in response.content:
                if not line.startswith(b'data: {"id"'):
                    continue
                for choice in json.loads(line[6:])["choices"]:
                    if piece := choice["delta"].get("content"):
                        first = first or time.perf_counter() - begin
                        text += piece
                    for part in choice["delta"].get("tool_calls", ()):
                        _add(calls.setdefault(part["index"], {}), part)
        if not calls:
            raise RuntimeError(f"{self._name} called no tool")
        self._messages += [
            {"role": "assistant", "content": text, "tool_calls": list(calls.values())},
            *(
                {"role": "tool", "tool_call_id": call["id"], "content": RESULT}
                for call in calls.values()
            ),
        ]
        return first


def _add(call: dict[str, Any], part: dict[str, Any]) -> None:
    """Put a piece of a streamed call to what has come of it."""
    function = call.setdefault("function", {"name": "", "arguments": ""})
    call |= {name: part[name] for name in ("id", "type") if part.get(name)}
    for name, piece in part.get("function", {}).items():
        function[name] += piece or ""
