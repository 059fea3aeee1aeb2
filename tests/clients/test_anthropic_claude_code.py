"""Claude Code as a client: every backend stands in for its provider."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ..providers import DEFAULT_TEXT, RecordedRequest
from ..real_agents import RealAgent, prepare
from .stage import Stage, staged

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.parametrize("backend", ["claude", "codex", "gemini", "echo"], scope="module"),
]

PATIENCE = 90.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(backend, tmp_path_factory.mktemp(f"behind-{backend}")) as one:
        yield one


def client(stage: Stage, version: str, folder: Path) -> RealAgent:
    """Claude Code pointed at the dialect instead of its vendor."""
    return prepare(version, f"{stage.daemon.url}/anthropic", folder)


async def run(agent: RealAgent, stage: Stage, *arguments: str) -> str:
    """What it prints; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *agent.command, "-p", "--tools", "", "--model", stage.backend, *arguments,
        cwd=agent.directory, env=agent.environment, stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, (output, errors)
    return output.decode()


def is_reply(stage: Stage, text: str, marker: str) -> bool:
    """Whether it is the whole answer; echo gives back what the client adds, too."""
    if stage.backend == "echo":
        return f"Say hello marker={marker}" in text
    return text.strip() == f"{DEFAULT_TEXT} marker={marker}"


def turn(stage: Stage, marker: str) -> RecordedRequest | None:
    """The only request of the provider for that marker, if there is a provider."""
    if stage.provider is None:
        return None
    words = f"marker={marker}"
    [request] = [one for one in stage.provider.turns if words in one.last_user_text.split()]
    return request


@pytest.mark.parametrize("version", ["claude", "claude-old"])
async def test_it_prints_the_answer(stage: Stage, version: str, tmp_path: Path) -> None:
    agent = client(stage, version, tmp_path)
    marker = f"prints-{version}"
    assert is_reply(stage, await run(agent, stage, f"Say hello marker={marker}"), marker)
    turn(stage, marker)


async def test_a_conversation_goes_on(stage: Stage, tmp_path: Path) -> None:
    agent = client(stage, "claude", tmp_path)
    first = await run(agent, stage, "Say hello marker=begins")
    second = await run(agent, stage, "--continue", "Say hello marker=goes-on")
    assert is_reply(stage, second, "goes-on")
    if request := turn(stage, "goes-on"):
        said = [one for one in request.conversation.utterances if "marker=" in one.text]
        assert [one.role for one in said] == ["user", "assistant", "user"]
        assert said[1].text.strip() == first.strip()


async def test_it_streams_what_the_backend_says(stage: Stage, tmp_path: Path) -> None:
    agent = client(stage, "claude", tmp_path)
    printed = await run(
        agent, stage, "--output-format", "stream-json", "--verbose",
        "--include-partial-messages", "Say hello marker=streams",
    )  # fmt: skip
    lines: list[dict[str, Any]] = [json.loads(line) for line in printed.splitlines()]
    events = [line["event"] for line in lines if line["type"] == "stream_event"]
    pieces = [event["delta"].get("text", "") for event in events if "delta" in event]
    assert is_reply(stage, "".join(pieces), "streams")
    assert len([piece for piece in pieces if piece]) > 1
    result = lines[-1]
    assert (result["type"], result["is_error"]) == ("result", False)
    assert result["usage"]["output_tokens"] > 0
