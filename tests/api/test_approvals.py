"""Agents that ask over HTTP: who is told, who may decide, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from clinvkd.keys import KeyRing
from clinvkd.keys.key import Key
from clinvkd.keys.scopes import Scopes

from .service import NDJSON, Answer, Service, check_events, serving, text_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT, JOBS, APPROVALS = "/api/v1/prompt", "/api/v1/jobs", "/api/v1/approvals"
ASKS = {"backend": "echo", "prompt": "[[ask shell]]done", "approval_mode": "ask"}
ALLOW, DENY = {"decision": "allow"}, {"decision": "deny", "message": "no"}
Events = list[dict[str, Any]]


class Reading:
    """A stream as it is read, event by event."""

    def __init__(self, lines: AsyncIterable[bytes]) -> None:
        self._lines = lines
        self.events: Events = []

    async def question(self) -> dict[str, Any]:
        """The next question with all its members."""
        async for line in self._lines:
            self.events.append(json.loads(line))
            if self.events[-1]["type"] == "approval_request":
                return self.events[-1]
        raise AssertionError(f"nothing was asked: {self.events}")

    async def rest(self) -> Events:
        """All events up to the end."""
        self.events += [json.loads(line) async for line in self._lines]
        return self.events


@asynccontextmanager
async def streaming(
    service: Service, body: Any, path: str = PROMPT, **headers: str
) -> AsyncIterator[Reading]:
    async with service.client.post(path, json=body, headers={**NDJSON, **headers}) as response:
        assert response.status == 200, await response.text()
        yield Reading(response.content)


async def decide(
    service: Service, question: Mapping[str, Any], body: Any, place: str = APPROVALS, **headers: str
) -> Answer:
    return await service.send(f"{place}/{question['content']['approval_id']}", body, headers)


async def begun(service: Service, body: dict[str, Any], path: str = PROMPT) -> str:
    answer = await service.send(path, {**body, "background": True})
    assert answer.status == 202, answer.text
    return str(answer.json["id"])


@asynccontextmanager
async def following(service: Service, job: str) -> AsyncIterator[Reading]:
    async with service.client.get(f"{JOBS}/{job}/events", headers=NDJSON) as response:
        assert response.status == 200, await response.text()
        yield Reading(response.content)


@pytest.mark.parametrize(("body", "word"), [(ALLOW, "allowed"), (DENY, "rejected")])
async def test_a_stream_asks_and_goes_on(service: Service, body: Any, word: str) -> None:
    async with streaming(service, ASKS) as reading:
        question = await reading.question()
        content = question["content"]
        assert (content["tool_name"], content["summary"]) == ("shell", "shell")
        assert content["options"] == ["Allow once", "Reject"]
        asked_at, ends = (
            datetime.fromisoformat(text) for text in (question["timestamp"], content["expires_at"])
        )
        assert 299 < (ends - asked_at).total_seconds() < 301
        answer = await decide(service, question, body)
        assert answer.status == 200
        name = content["approval_id"]
        assert answer.json == {"approval_id": name, "decision": body["decision"]}
        events = await reading.rest()
    check_events(events)
    assert text_of(events) == f"shell {word}\ndone"
    (told,) = [event["content"] for event in events if event["type"] == "approval_decision"]
    assert told == {"approval_id": name, "by": "caller", **body}
    again = await decide(service, question, ALLOW)
    assert (again.status, again.error["param"]) == (409, "approval")


async def test_a_job_asks_and_goes_on(service: Service) -> None:
    job, other = await begun(service, ASKS), await begun(service, ASKS)
    async with following(service, job) as reading:
        question = await reading.question()
        wrong = await decide(service, question, ALLOW, f"{JOBS}/{other}/approvals")
        assert (wrong.status, wrong.error["param"]) == (404, "approval")
        unknown = await decide(service, question, ALLOW, f"{JOBS}/{'0' * 32}/approvals")
        assert (unknown.status, unknown.error["param"]) == (404, "id")
        answer = await decide(service, question, ALLOW, f"{JOBS}/{job}/approvals")
        assert answer.status == 200
        assert text_of(await reading.rest()) == "shell allowed\ndone"
    ended = await decide(service, question, ALLOW, f"{JOBS}/{job}/approvals")
    assert (ended.status, ended.error["param"]) == (409, "id")
    async with following(service, other) as reading:  # the general place knows jobs, too
        question = await reading.question()
        assert (await decide(service, question, DENY)).status == 200
        assert text_of(await reading.rest()) == "shell rejected\ndone"


async def test_a_reader_who_comes_back_still_finds_the_question(service: Service) -> None:
    job = await begun(service, ASKS)
    async with following(service, job) as reading:
        first = await reading.question()
    async with following(service, job) as reading:
        assert await reading.question() == first
        assert (await decide(service, first, ALLOW, f"{JOBS}/{job}/approvals")).status == 200
        await reading.rest()


LANES: list[tuple[str, dict[str, Any], str, list[int]]] = [
    ("parallel", {"tasks": [{**ASKS, "prompt": f"[[ask {n}]]x"} for n in "ab"]}, "task", [0, 1]),
    ("chain", {"steps": [{**ASKS, "prompt": f"[[ask {n}]]x"} for n in "ab"]}, "step", [1, 2]),
    (
        "compare",
        {"backends": ["echo", "echo"], "prompt": "[[ask a]]x", "approval_mode": "ask"},
        "index",
        [0, 1],
    ),
]


@pytest.mark.parametrize("as_job", [False, True])
@pytest.mark.parametrize(("path", "body", "tag", "places"), LANES)
async def test_lanes_ask_with_their_tags(
    service: Service, path: str, body: dict[str, Any], tag: str, places: list[int], as_job: bool
) -> None:
    path = f"/api/v1/{path}"
    if as_job:
        job = await begun(service, body, path)
        reader, place = following(service, job), f"{JOBS}/{job}/approvals"
    else:
        reader, place = streaming(service, body, path), APPROVALS
    async with reader as reading:
        asked = []
        for _ in places:
            question = await reading.question()
            asked.append(question[tag])
            assert (await decide(service, question, ALLOW, place)).status == 200
        result = (await reading.rest())[-1]
    assert sorted(asked) == places
    assert [part["exit_code"] for part in result["content"]["results"]] == [0, 0]
    assert all("allowed" in part["output"] for part in result["content"]["results"])


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("prompt", ASKS, "approval_mode"),
        ("parallel", {"tasks": [{"prompt": "x"}, ASKS]}, "tasks[1].approval_mode"),
        ("chain", {"steps": [{"prompt": "x"}, ASKS]}, "steps[1].approval_mode"),
        ("compare", LANES[2][1], "approval_mode"),
        (
            "compare",
            {"backends": ["echo"], "prompt": "x", "judge": {"approval_mode": "ask"}},
            "judge.approval_mode",
        ),
    ],
)
async def test_somebody_has_to_be_told(
    service: Service, path: str, body: dict[str, Any], param: str
) -> None:
    before = service.turns()
    answer = await service.send(f"/api/v1/{path}", body)
    assert (answer.status, answer.error["param"]) == (400, param)
    assert "background" in answer.error["message"]
    assert service.turns() == before
    rehearsed = await service.send(f"/api/v1/{path}", {**body, "dry_run": True})
    assert rehearsed.status == 200


async def test_a_session_that_asked_goes_on_asking(service: Service) -> None:
    async with streaming(service, ASKS) as reading:
        question = await reading.question()
        await decide(service, question, ALLOW)
        await reading.rest()
    again = {"session_id": question["session_id"], "prompt": "again"}
    answer = await service.send(PROMPT, again)
    assert (answer.status, answer.error["param"]) == (400, "approval_mode")
    assert (await service.send(PROMPT, {**again, "approval_mode": "auto"})).status == 200


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "decision"),
        ({"decision": "maybe"}, "decision"),
        ({"decision": True}, "decision"),
        ({"decision": "deny", "message": "x" * 10_001}, "message"),
        ({"decision": "allow", "updatedInput": {}}, "updatedInput"),
    ],
)
async def test_a_decision_that_is_none_decides_nothing(
    service: Service, body: Any, param: str
) -> None:
    async with streaming(service, ASKS) as reading:
        question = await reading.question()
        answer = await decide(service, question, body)
        assert (answer.status, answer.error["param"]) == (400, param)
        assert (await decide(service, question, ALLOW)).status == 200
        assert text_of(await reading.rest()) == "shell allowed\ndone"


async def test_a_caller_that_leaves_takes_the_question_along(service: Service) -> None:
    async with streaming(service, ASKS) as reading:
        question = await reading.question()
    await service.idle()
    answer = await decide(service, question, ALLOW)
    assert (answer.status, answer.error["message"]) == (409, "its turn has ended")
    unknown = await service.send(f"{APPROVALS}/{'0' * 32}", ALLOW)
    assert (unknown.status, unknown.error["param"]) == (404, "approval")


async def test_nobody_in_time_is_a_denial(tmp_path: Path) -> None:
    pool = {"approval_timeout_secs": 0.05}
    async with serving(tmp_path, backends={"echo": {"pool": pool}}) as service:
        async with streaming(service, ASKS) as reading:
            events = await reading.rest()
        assert text_of(events) == "shell rejected\ndone"
        (told,) = [event["content"] for event in events if event["type"] == "approval_decision"]
        assert (told["decision"], told["by"]) == ("deny", "limit")


async def test_a_key_decides_for_its_own_prompts(tmp_path: Path) -> None:
    keys = {name: f"key-of-{name}" for name in ("owner", "other", "all")}
    ring = KeyRing(
        Key(name, Key.of(text).digest, Scopes(every_session=name == "all"))
        for name, text in keys.items()
    )
    owner, other, everybody = ({"Authorization": f"Bearer {text}"} for text in keys.values())
    async with serving(tmp_path, ring) as service:
        async with streaming(service, ASKS, **owner) as reading:
            question = await reading.question()
            assert (await decide(service, question, ALLOW, **other)).status == 404
            assert (await decide(service, question, ALLOW)).status == 401
            assert (await decide(service, question, ALLOW, **everybody)).status == 200
            assert text_of(await reading.rest()) == "shell allowed\ndone"
        assert (await decide(service, question, ALLOW, **other)).status == 404
        assert (await decide(service, question, ALLOW, **owner)).status == 409


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/openai/v1/chat/completions", {}),
        ("/anthropic/v1/messages", {"max_tokens": 100}),
    ],
)
async def test_apis_that_cannot_ask_refuse(tmp_path: Path, path: str, body: dict[str, Any]) -> None:
    section = {"approval_mode": "ask", "tools": "on"}
    async with serving(tmp_path, backends={"echo": section}) as service:
        message = {"role": "user", "content": "[[ask shell]]done"}
        answer = await service.send(path, {"model": "echo", "messages": [message], **body})
        assert answer.status == 200, answer.text
        assert "shell rejected" in answer.text
