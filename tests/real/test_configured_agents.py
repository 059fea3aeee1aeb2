"""Agents that are there by configuration alone, and an old one, in a real daemon over HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.api.service import eventually
from tests.daemon import Daemon, daemon
from tests.providers import AnthropicProvider, ChatProvider
from tests.real_agents import RealAgent, prepare

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

FOUR_LINES = {
    "opencode": "backends:\n  opencode:\n    driver: acp\n    command: [opencode, acp]\n",
    "qwen": "backends:\n  qwen:\n    driver: acp\n    command: [qwen, --acp]\n",
}
"""All that a person writes, the programs being on the path."""


def configured(sections: Mapping[str, Any]) -> str:
    """The configuration with these backends and no other but echo."""
    built_in = ("claude", "codex", "gemini", "local")
    others = {name: {"enabled": False} for name in built_in if name not in sections}
    return json.dumps({"backends": {**sections, **others}})


def four_lines(agent: RealAgent) -> Any:
    """The section of four lines, with the way to the fake provider beside it."""
    assert FOUR_LINES[agent.name].count("\n") == 4
    section = yaml.safe_load(FOUR_LINES[agent.name])["backends"][agent.name]
    environment = {name: agent.environment[name] for name in agent.environment if name != "PATH"}
    return {**section, "environment": environment}


async def report(served: Daemon, client: aiohttp.ClientSession, name: str) -> dict[str, Any]:
    """What `/health` says of the backend once an agent of it has told its version."""
    reports: dict[str, dict[str, Any]] = {}

    async def told() -> bool:
        async with client.get(f"{served.url}/health") as response:
            reports.update({each["name"]: each for each in (await response.json())["backends"]})
        return reports[name]["version"] is not None

    await eventually(told)
    return reports[name]


async def test_four_lines_make_an_agent_of_another_vendor_answer(tmp_path: Path) -> None:
    async with ChatProvider() as provider:
        agents = {name: prepare(name, provider.url, tmp_path) for name in FOUR_LINES}
        sections = {name: four_lines(agent) for name, agent in agents.items()}
        path = ":".join(agent.environment["PATH"] for agent in agents.values())
        async with (
            daemon(tmp_path / "daemon", configured(sections), PATH=path) as served,
            aiohttp.ClientSession() as client,
        ):
            for name, agent in agents.items():
                body = {
                    "backend": name,
                    "prompt": f"marker={name}x",
                    "output_format": "stream-json",
                }
                async with client.post(f"{served.url}/api/v1/prompt", json=body) as response:
                    assert response.status == 200, await response.text()
                    events = [json.loads(line) async for line in response.content]
                pieces = [e["content"]["text"] for e in events if e["type"] == "message"]
                assert len(pieces) > 1
                assert "".join(pieces).endswith(f"marker={name}x")
                assert events[-1]["type"] == "complete"
                assert (await report(served, client, name))["version"] == agent.version


async def test_health_tells_what_an_old_claude_cannot_do(tmp_path: Path) -> None:
    async with AnthropicProvider() as provider:
        agent = prepare("claude-old", provider.url, tmp_path)
        section = {"command": list(agent.command), "environment": agent.environment}
        async with (
            daemon(tmp_path / "daemon", configured({"claude": section})) as served,
            aiohttp.ClientSession() as client,
        ):
            told = await report(served, client, "claude")
            assert (told["available"], told["version"]) == (True, agent.version)
            assert any("2.1.248" in warning for warning in told["warnings"])
