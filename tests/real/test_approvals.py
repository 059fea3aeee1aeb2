"""The real CLIs ask before they act, and a caller decides over HTTP: as a job and in a stream."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientResponse

from tests.api.service import SSE, Service, serving, text_of
from tests.providers import FakeProvider
from tests.real_agents import AGENTS, prepare, require

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
]

PROMPT, JOBS, APPROVALS = "/api/v1/prompt", "/api/v1/jobs", "/api/v1/approvals"
DRIVERS = {"claude": "claude", "claude-old": "claude", "codex": "codex", "gemini": "acp"}
ARGUMENTS = {"gemini": ["--acp"]}
MODELS = {"codex": "fake-1", "gemini": "gemini-2.5-flash"}
TOOLS = {
    "claude": "Write",
    "claude-old": "Write",
    "codex": "command_execution",
    "gemini": "write_file",
}
"""How callers see the tool that makes a file."""

TOLD = {
    "claude": "not on my watch",
    "claude-old": "not on my watch",
    "codex": "rejected by user",
    "gemini": "was canceled by the user",
}
"""What the model sees of a denial: the caller's words where the protocol has a place for them."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A service with one CLI under two names: `patient` waits for decisions, `hasty` does not."""

    name: str
    service: Service
    provider: FakeProvider

    def body(self, target: Path, backend: str = "patient") -> dict[str, Any]:
        """A prompt whose agent wants to make a file."""
        call = _call(self.name, target)
        directive = json.dumps({"tools": [call], "then": {"text": "Finished."}})
        return {
            "backend": backend,
            "prompt": f"Go on. %%{directive}%%",
            "workdir": str(target.parent),
            "approval_mode": "ask",
            **({"model": MODELS[self.name]} if self.name in MODELS else {}),
        }

    def told(self) -> str:
        """What the model was told last."""
        return json.dumps(self.provider.turns[-1].body)


def _call(name: str, target: Path) -> dict[str, Any]:
    match name:
        case "claude" | "claude-old":
            arguments = {"file_path": str(target), "content": "made"}
            return {"name": "Write", "arguments": arguments}
        case "codex":
            return {"name": "exec_command", "arguments": {"cmd": f"printf made > {target}"}}
        case _:
            arguments = {"file_path": str(target), "content": "made"}
            return {"name": "write_file", "arguments": arguments}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[*TOOLS])
async def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    async with _staged(name, folder) as stage:
        yield stage


@asynccontextmanager
async def _staged(name: str, folder: Path) -> AsyncIterator[Stage]:
    require(name)
    async with AGENTS[name]() as provider:
        agent = prepare(name, provider.url, folder)
        section = {
            "driver": DRIVERS[name],
            "command": [*agent.command, *ARGUMENTS.get(name, [])],
            "environment": agent.environment,
        }
        backends = {
            "patient": {**section, "pool": {"spares": 0, "idle_timeout_secs": 60}},
            "hasty": {**section, "pool": {"spares": 0, "approval_timeout_secs": 0.05}},
        }
        (folder / "service").mkdir()
        async with serving(folder / "service", backends=backends) as service:
            stage = Stage(name, service, provider)
            # What is begun before the store has cleared up after the last daemon is interrupted.
            await Talk(stage).job({"backend": "echo", "prompt": "first"})
            yield stage


@pytest.fixture
def target(stage: Stage, tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder / "made.txt"


Events = list[dict[str, Any]]


class Talk:
    """A caller who answers every question of one prompt as it comes."""

    def __init__(self, stage: Stage, **answer: str) -> None:
        self._stage = stage
        self._answer = answer
        self.events: Events = []

    async def stream(self, body: dict[str, Any]) -> Events:
        async with self._stage.service.client.post(PROMPT, json=body, headers=SSE) as response:
            assert response.status == 200, await response.text()
            await self._read(response, APPROVALS)
        return self.events

    async def job(self, body: dict[str, Any]) -> str:
        job = await begun(self._stage, body)
        async with self._stage.service.client.get(f"{JOBS}/{job}/events") as response:
            await self._read(response, f"{JOBS}/{job}/approvals")
        return job

    async def _read(self, response: ClientResponse, place: str) -> None:
        async for line in response.content:
            if not line.startswith(b"data: "):
                continue
            self.events.append(json.loads(line[6:]))
            if self._answer and self.events[-1]["type"] == "approval_request":
                where = f"{place}/{self.events[-1]['content']['approval_id']}"
                answer = await self._stage.service.send(where, self._answer)
                assert answer.status == 200, answer.text
                again = await self._stage.service.send(where, self._answer)
                assert again.status == 409


async def begun(stage: Stage, body: dict[str, Any]) -> str:
    answer = await stage.service.send(PROMPT, {**body, "background": True})
    assert answer.status == 202, answer.text
    return str(answer.json["id"])


def made(target: Path) -> str | None:
    """What is in the file that the agent wanted to make."""
    return target.read_text() if target.exists() else None


def only(events: Events, kind: str) -> Any:
    (content,) = [event["content"] for event in events if event["type"] == kind]
    return content


async def test_what_is_allowed_is_done(stage: Stage, target: Path) -> None:
    talk = Talk(stage, decision="allow")
    job = await talk.job(stage.body(target))
    assert made(target) == "made"
    asked = only(talk.events, "approval_request")
    assert asked["tool_name"] == TOOLS[stage.name]
    assert asked["tool_id"] == only(talk.events, "tool_use")["tool_id"]
    assert asked["summary"].startswith(f"{TOOLS[stage.name]}: ")
    assert "made.txt" in asked["summary"]
    assert str(target) in json.dumps(asked["input"])
    assert len(asked["options"]) > 1
    decided = only(talk.events, "approval_decision")
    assert decided == {"approval_id": asked["approval_id"], "decision": "allow", "by": "caller"}
    assert not only(talk.events, "tool_result")["is_error"]
    async with stage.service.client.get(f"{JOBS}/{job}") as response:
        ended = await response.json()
    assert (ended["status"], ended["result"]["output"]) == ("completed", "Finished.")
    where = f"{JOBS}/{job}/approvals/{asked['approval_id']}"
    assert (await stage.service.send(where, {"decision": "allow"})).status == 409


async def test_what_is_denied_is_not_done_and_the_model_is_told(stage: Stage, target: Path) -> None:
    events = await Talk(stage, decision="deny", message="not on my watch").stream(
        stage.body(target)
    )
    assert made(target) is None
    decided = only(events, "approval_decision")
    assert (decided["decision"], decided["by"]) == ("deny", "caller")
    assert decided["message"] == "not on my watch"
    assert events[-1]["content"]["exit_code"] == 0
    assert TOLD[stage.name] in stage.told()
    assert text_of(events) == "Finished."


async def test_nobody_in_time_is_a_denial(stage: Stage, target: Path) -> None:
    events = await Talk(stage).stream(stage.body(target, "hasty"))
    assert made(target) is None
    decided = only(events, "approval_decision")
    assert (decided["decision"], decided["by"]) == ("deny", "limit")
    assert events[-1]["content"]["exit_code"] == 0
    place = f"{APPROVALS}/{decided['approval_id']}"
    late = await stage.service.send(place, {"decision": "allow"})
    assert (late.status, late.error["param"]) == (409, "approval")
    assert made(target) is None


async def test_a_job_can_be_canceled_while_it_asks(stage: Stage, target: Path) -> None:
    client = stage.service.client
    job = await begun(stage, stage.body(target))
    async with client.get(f"{JOBS}/{job}/events") as events:
        told = await events.content.readuntil(b'"approval_id":"')
        approval = (await events.content.readexactly(32)).decode()
        assert b"approval_request" in told
    async with client.delete(f"{JOBS}/{job}") as response:
        assert (await response.json())["status"] == "canceled"
    for place in (f"{JOBS}/{job}/approvals/{approval}", f"{APPROVALS}/{approval}"):
        assert (await stage.service.send(place, {"decision": "allow"})).status == 409
    await stage.service.idle("patient")
    figures = stage.service.figures("patient")
    assert (figures.busy, figures.restarts) == (0, 0)
    assert made(target) is None
