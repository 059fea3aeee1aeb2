"""A pool of real Claude Code processes before a fake Messages provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clinvkd.drivers.claude import ClaudeDriver
from clinvkd.events import Completed, Event
from clinvkd.pool import Pool, Turn
from clinvkd.prompt import Prompt
from tests.pools import ask, backend, prompt, running_pool
from tests.providers import AnthropicProvider, RecordedRequest
from tests.providers.script import Script, obey_directives
from tests.real_agents import prepare, require

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
BOTH = pytest.mark.parametrize("name", ["claude", "claude-old"])


@dataclass(frozen=True, slots=True)
class Stage:
    """A pool of real agents before a fake provider."""

    pool: Pool
    provider: AnthropicProvider

    async def ask(self, text: str, *history: tuple[str, str], **options: Any) -> list[Event]:
        return await ask(self.pool, asked(text, *history, **options))


def asked(text: str, *history: tuple[str, str], **options: Any) -> Prompt:
    return prompt(text, *history, backend="claude", **options)


@asynccontextmanager
async def stage(
    name: str, folder: Path, script: Script = obey_directives, **pool: Any
) -> AsyncIterator[Stage]:
    require(name)
    async with AnthropicProvider(script) as provider:
        agent = prepare(name, provider.url, folder)
        configured = backend(
            "claude",
            "claude",
            agent.command,
            pass_environment=("ANTHROPIC_*", "CLAUDE_*"),
            pool={"agents": 2, "spares": 0, "stop_grace_secs": 2, **pool},
        )
        async with running_pool(configured, ClaudeDriver, folder / "run", agent.environment) as one:
            yield Stage(one, provider)


def messages(request: RecordedRequest) -> list[tuple[str, list[dict[str, Any]]]]:
    """Roles and blocks as the provider saw them, without what the CLI adds of itself."""
    seen = []
    for message in request.body["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        own = [
            {key: value for key, value in block.items() if key != "cache_control"}
            for block in blocks
            if not block.get("text", "").startswith("<system-reminder>")
        ]
        if message["role"] != "system":
            seen.append((message["role"], own))
    return seen


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def completed(events: list[Event]) -> Completed:
    assert isinstance(events[-1], Completed)
    return events[-1]


def files_with(words: bytes, folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if words in path.read_bytes()]


async def collect(turn: Turn, events: list[Event]) -> None:
    """Add the events of a turn to `events`, up to its end or its failure."""
    async for batch in turn:
        events += batch
