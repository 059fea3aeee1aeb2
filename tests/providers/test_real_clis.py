"""Every real CLI, started cold from its private home, gets its answer from a fake provider.

This is the proof that provider and home are what the CLI expects; what the daemon makes of the CLIs
is tested elsewhere.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from ..real_agents import AGENTS, RealAgent, prepare
from . import Kind

pytestmark = pytest.mark.real

ARGUMENTS = {
    "claude": ("-p",),
    "claude-old": ("-p",),
    "codex": ("exec", "--skip-git-repo-check", "-"),
    "gemini": (),
    "opencode": ("run",),
    "qwen": (),
}
"""What makes each CLI answer the prompt on its stdin and exit."""

SIDE_REQUESTS = {
    "claude": set[Kind](),
    "claude-old": {Kind.PROBE},
    "codex": set[Kind](),
    "gemini": {Kind.DECISION},
    "opencode": {Kind.BACKGROUND},
    "qwen": {Kind.BACKGROUND},
}
"""What each CLI may ask a provider besides."""


async def answer(agent: RealAgent, prompt: str) -> str:
    """What the CLI prints; it must exit with 0."""
    process = await asyncio.create_subprocess_exec(
        *(*agent.command, *ARGUMENTS[agent.name]),
        env=agent.environment,
        cwd=agent.directory,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(90):
            output, errors = await process.communicate(prompt.encode())
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()


@pytest.mark.parametrize("name", AGENTS)
async def test_a_cold_cli_answers_from_the_fake_provider(name: str, tmp_path: Path) -> None:
    async with AGENTS[name]() as provider:
        agent = prepare(name, provider.url, tmp_path)
        assert "Hello from the fake provider. marker=M-1" in await answer(agent, "hi marker=M-1")
        [turn] = provider.turns
    spoken = [(said.role, said.text.strip()) for said in turn.conversation.utterances]
    assert spoken == [("user", "hi marker=M-1")]
    assert turn.conversation.system
    assert turn.conversation.streaming
    assert {request.kind for request in provider.requests} <= {Kind.TURN, *SIDE_REQUESTS[name]}
