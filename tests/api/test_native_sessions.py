"""Conversations over HTTP: continued where they are, seeded where they are not."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from clinvkd.pool.turn import Way

from .service import SSE, Service, serving, text_of, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

OTHER = {"driver": "acp", "command": [sys.executable, "-m", "clinvkd.agents.echo"]}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """Echo, and a second backend that is another echo with rules of its own."""
    rules = {"approval_mode": "always", "system_prompt": "Other."}
    backends = {"other": {**OTHER, **rules}}
    async with serving(tmp_path_factory.mktemp("sessions"), backends=backends) as running:
        yield running


def ways(service: Service, backend: str = "echo") -> dict[Way, int]:
    return dict(service.figures(backend).turns)


def said(history: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [
        (entry["role"], "".join(block["text"] for block in entry["content"])) for entry in history
    ]


async def started(service: Service, prompt: str, **fields: Any) -> str:
    """A session with one turn."""
    answer = await service.post(prompt=prompt, **fields)
    assert answer.status == 200, answer.text
    return str(answer.json["session_id"])


async def test_a_session_is_continued_where_it_is(service: Service) -> None:
    session = await started(service, "first question")
    before = ways(service).get(Way.CONTINUE, 0)
    answer = await service.post(prompt="[[history]]", session_id=session)
    assert answer.json["session_id"] == session
    assert said(json.loads(answer.json["output"])["history"]) == [
        ("user", "first question"),
        ("assistant", "first question"),
    ]
    assert ways(service)[Way.CONTINUE] == before + 1


async def test_streamed_and_whole_answers_share_a_session(service: Service) -> None:
    answer = await service.post(prompt="streamed", headers=SSE)
    (session,) = {event["session_id"] for event in answer.events}
    before = ways(service).get(Way.CONTINUE, 0)
    told = await service.text("[[history]]", session_id=session)
    assert said(json.loads(told)["history"])[1] == ("assistant", "streamed")
    answer = await service.post(prompt="[[history]]", session_id=session, headers=SSE)
    assert len(json.loads(text_of(answer.events))["history"]) == 4
    assert ways(service)[Way.CONTINUE] == before + 2


async def test_a_session_outlives_its_agent(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        session = await started(service, "remember me")
        (agent,) = [agent for agent in service.engine.pool("echo").crew if agent.turns]
        assert agent.pid
        os.kill(agent.pid, signal.SIGKILL)
        await until(lambda: service.figures().restarts == 1)
        told = await service.text("[[history]]", session_id=session)
        assert said(json.loads(told)["history"])[0] == ("user", "remember me")
        assert Way.CONTINUE not in ways(service)


async def test_a_session_goes_on_with_another_backend(service: Service) -> None:
    session = await started(service, "across", system_prompt="Mine.")
    answer = await service.post(prompt="[[history]]", session_id=session, backend="other")
    told = json.loads(answer.json["output"])
    assert answer.json["backend"] == "other"
    assert told["system"] == "Mine."
    assert said(told["history"]) == [("user", "across"), ("assistant", "across")]
    kept = (await service.kept(session)).prompt
    assert (kept.backend, kept.permissions.approval) == ("other", "always")
    answer = await service.post(prompt="again", session_id=session, backend=None)
    assert answer.json["backend"] == "other"


async def test_what_a_turn_leaves_open_comes_from_the_session(
    service: Service, tmp_path: Path
) -> None:
    session = await started(
        service, "a", workdir=str(tmp_path), sandbox_mode="read-only", model="echo",
        system_prompt="S", metadata={"k": "v"},
    )  # fmt: skip
    assert await service.text("[[cwd]]", session_id=session) == str(tmp_path)
    kept = await service.kept(session)
    assert kept.metadata == {"k": "v"}
    assert (kept.prompt.system, kept.prompt.model) == ("S", "echo")
    assert (kept.prompt.permissions.sandbox, kept.prompt.permissions.tools) == ("read-only", True)
    assert await service.text("ok", session_id=session, metadata={"k": "w", "l": "x"}) == "ok"
    assert (await service.kept(session)).metadata == {"k": "w", "l": "x"}


async def test_a_restriction_goes_along_to_another_backend(service: Service) -> None:
    session = await started(service, "a", sandbox_mode="read-only", approval_mode="default")
    await service.text("b", session_id=session, backend="other")
    kept = (await service.kept(session)).prompt.permissions
    assert (kept.sandbox, kept.approval) == ("read-only", "always")


async def test_messages_beside_a_session_are_refused(service: Service) -> None:
    session = await started(service, "a")
    answer = await service.post(
        prompt="b", session_id=session, messages=[{"role": "user", "content": "c"}]
    )
    assert (answer.status, answer.error["param"]) == (400, "messages")


async def test_an_ephemeral_turn_leaves_no_session(service: Service) -> None:
    before = await service.sessions()
    answer = await service.post(prompt="secret", ephemeral=True)
    assert "session_id" not in answer.json
    assert await service.sessions() == before


async def test_an_ephemeral_turn_does_not_change_its_session(service: Service) -> None:
    session = await started(service, "kept")
    answer = await service.post(prompt="aside", session_id=session, ephemeral=True)
    assert "session_id" not in answer.json
    told = json.loads(await service.text("[[history]]", session_id=session))
    assert len(told["history"]) == 2


async def test_a_failed_turn_does_not_change_its_session(service: Service) -> None:
    session = await started(service, "kept")
    answer = await service.post(prompt="half [[fail broken]]", session_id=session)
    assert answer.status == 500
    answer = await service.post(prompt="half [[fail broken]]", session_id=session, headers=SSE)
    assert answer.status == 200
    told = json.loads(await service.text("[[history]]", session_id=session))
    assert said(told["history"]) == [("user", "kept"), ("assistant", "kept")]


async def test_a_failed_first_turn_makes_no_session(service: Service) -> None:
    before = await service.sessions()
    assert (await service.post(prompt="[[fail broken]]")).status == 500
    assert await service.sessions() == before


async def test_a_part_of_an_id_finds_nothing(service: Service) -> None:
    session = await started(service, "a")
    assert (await service.post(prompt="b", session_id=session[:16])).status == 404
    assert (await service.post(prompt="b", session_id=session.upper() + " ")).status == 404
