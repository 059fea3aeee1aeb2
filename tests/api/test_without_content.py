"""With `session.store_content` off nothing that was said can be found on the disk."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from .service import NDJSON, SSE, Answer, Service, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "platypus-secret"
FILE = base64.b64encode(f"{SECRET} in a file".encode()).decode()
PROMPT, JOBS, SESSIONS = "/api/v1/prompt", "/api/v1/jobs", "/api/v1/sessions"
CHAT, RESPONSES = "/openai/v1/chat/completions", "/openai/v1/responses"
MESSAGES = "/anthropic/v1/messages"
IGNORED = "X-Clinvk-Ignored"
SAID: dict[str, Any] = {"backend": "echo", "prompt": f"say {SECRET}"}
FAILS: dict[str, Any] = {"backend": "echo", "prompt": f"[[fail {SECRET}]]"}
ASKS: dict[str, Any] = {**SAID, "prompt": f"[[ask {SECRET}]]", "approval_mode": "ask"}
USER = {"role": "user", "content": f"say {SECRET}"}
TOOL = {
    "type": "function",
    "function": {"name": "look", "description": SECRET, "parameters": {"type": "object"}},
}


@asynccontextmanager
async def silent(folder: Path, *, content: bool = False) -> AsyncIterator[Service]:
    async with serving(
        folder, session={"store_content": content}, server={"shutdown_grace_secs": 0.1}
    ) as service:
        yield service


def told(folder: Path) -> list[str]:
    """The files in the home directory that hold something of what was said."""
    words = (SECRET.encode(), FILE.encode())
    return [
        str(path.relative_to(folder))
        for path in sorted((folder / "home").rglob("*"))
        if path.is_file() and any(word in path.read_bytes() for word in words)
    ]


async def get(service: Service, path: str, **headers: str) -> Answer:
    async with service.client.get(path, headers=headers) as response:
        return await Answer.of(response)


async def ok(service: Service, path: str, body: Any, **headers: str) -> Answer:
    answer = await service.send(path, body, headers)
    assert answer.status in (200, 201, 202), (path, answer.text)
    return answer


async def job(service: Service, path: str, body: Any, **headers: str) -> Any:
    """A job that has ended, with what can be seen of it."""
    name = (await ok(service, path, {**body, "background": True}, **headers)).json["id"]
    await get(service, f"{JOBS}/{name}/events")
    return (await get(service, f"{JOBS}/{name}")).json


async def by_sessions(service: Service) -> None:
    first = await ok(service, PROMPT, {**SAID, "messages": [USER], "system_prompt": SECRET})
    name = first.json["session_id"]
    await ok(service, PROMPT, {**SAID, "session_id": name}, **SSE)
    await service.send(PROMPT, {**FAILS, "session_id": name})
    found = await get(service, f"{SESSIONS}/{name}?include=messages")
    assert found.json["error"] == "backend_error"
    assert SECRET in found.text
    fork = await ok(service, f"{SESSIONS}/{name}/fork", {})
    await ok(service, PROMPT, {**SAID, "session_id": fork.json["id"]})
    await ok(service, PROMPT, {**SAID, "ephemeral": True}, **NDJSON)
    image = {"type": "image", "media_type": "image/png", "data": FILE}
    await service.send(PROMPT, {**SAID, "prompt": [{"type": "text", "text": SECRET}, image]})
    schema = {"type": "string", "const": SECRET}
    await service.send(PROMPT, {**SAID, "schema": schema})


async def by_chats(service: Service) -> None:
    chat = {"model": "echo", "messages": [{"role": "system", "content": SECRET}, USER]}
    for more in ({}, {"stream": True}, {"n": 2}, {"tools": [TOOL]}, {"store": True}):
        await ok(service, CHAT, {**chat, **more})
    await ok(service, "/openai/v1/completions", {"model": "echo", "prompt": f"say {SECRET}"})
    body: dict[str, Any] = {"model": "echo", "messages": [USER]}
    body |= {"max_tokens": 100, "system": SECRET}
    for more in ({}, {"stream": True}):
        await ok(service, MESSAGES, {**body, **more})
    begun = await ok(service, MESSAGES, {**body, "thread": {"type": "create"}})
    assert begun.headers[IGNORED] == "thread"
    thread = {"type": "continue", "previous_message_id": begun.json["id"]}
    unknown = await service.send(MESSAGES, {**body, "thread": thread})
    assert unknown.status == 404


async def by_responses(service: Service) -> None:
    body = {"model": "echo", "input": f"say {SECRET}", "instructions": SECRET}
    for more in ({}, {"store": True}, {"stream": True}):
        answer = await ok(service, RESPONSES, {**body, **more})
        assert answer.headers[IGNORED] == "store"
    answer = await ok(service, RESPONSES, {**body, "store": False})
    assert IGNORED not in answer.headers
    answer = await ok(service, RESPONSES, body)
    assert answer.json["store"] is False
    name = answer.json["id"]
    assert (await get(service, f"{RESPONSES}/{name}")).status == 404
    again = await service.send(RESPONSES, {**body, "previous_response_id": name})
    assert again.json["error"]["code"] == "previous_response_not_found"
    refused = await service.send(RESPONSES, {**body, "background": True})
    assert (refused.status, refused.json["error"]["param"]) == (400, "background")
    assert "session.store_content" in refused.json["error"]["message"]


async def by_workflows(service: Service) -> None:
    requests: list[tuple[str, dict[str, Any]]] = [
        ("parallel", {"tasks": [SAID, FAILS, {**SAID, "ephemeral": False}]}),
        ("chain", {"input": SECRET, "steps": [SAID, {**SAID, "prompt": "{{previous}} {{input}}"}]}),
        ("compare", {"backends": ["echo", "echo"], "prompt": SECRET, "judge": "echo"}),
    ]
    for name, body in requests:
        await ok(service, f"/api/v1/{name}", body)
        await ok(service, f"/api/v1/{name}", body, **SSE)
        done = await job(service, f"/api/v1/{name}", body)
        assert done["status"] == "completed"
        assert SECRET in json.dumps(done["request"])
        assert SECRET in json.dumps(done["result"])


async def by_jobs(service: Service) -> None:
    done = await job(service, PROMPT, SAID)
    assert done["result"]["output"] == f"say {SECRET}"
    events = await get(service, f"{JOBS}/{done['id']}/events", **{"Last-Event-ID": "1"})
    assert events.text.count("id: ") == done["last_event"] - 1
    failed = await job(service, PROMPT, FAILS)
    assert SECRET in failed["error"]["message"]
    listed = {one["id"]: one for one in (await get(service, JOBS)).json["jobs"]}
    assert listed[failed["id"]]["error"] == failed["error"]
    chain = {"steps": [SAID, FAILS], "stop_on_failure": True}
    failed = await job(service, "/api/v1/chain", chain)
    resumed = await ok(service, f"{JOBS}/{failed['id']}/resume", {})
    await get(service, f"{JOBS}/{resumed.json['id']}/events")
    name = (await ok(service, PROMPT, {**ASKS, "background": True})).json["id"]
    async with service.client.get(f"{JOBS}/{name}/events", headers=NDJSON) as response:
        async for line in response.content:
            event = json.loads(line)
            if event["type"] == "approval_request":
                place = f"{JOBS}/{name}/approvals/{event['content']['approval_id']}"
                await ok(service, place, {"decision": "deny", "message": SECRET})
    slow = {**SAID, "prompt": f"[[slow 600]]{SECRET} never"}
    name = (await ok(service, PROMPT, {**slow, "background": True})).json["id"]
    async with service.client.get(f"{JOBS}/{name}/events") as events_of_it:
        await events_of_it.content.readuntil(SECRET.encode())
    async with service.client.delete(f"{JOBS}/{name}") as response:
        assert (await response.json())["status"] == "canceled"
    canceled = (await get(service, f"{JOBS}/{name}")).json
    assert canceled["output"] == [{"backend": "echo", "output": f"{SECRET} "}]


async def by_keys(service: Service) -> None:
    chat = {"model": "echo", "messages": [USER]}
    requests: list[tuple[str, dict[str, Any], dict[str, str]]] = [
        (PROMPT, SAID, {}),
        (PROMPT, SAID, SSE),
        ("/api/v1/parallel", {"tasks": [SAID]}, {}),
        (CHAT, chat, {}),
        (RESPONSES, {"model": "echo", "input": SECRET}, {}),
        (MESSAGES, {**chat, "max_tokens": 100}, {}),
        (PROMPT, {**SAID, "background": True}, {}),
    ]
    for number, (path, body, headers) in enumerate(requests):
        key = {"Idempotency-Key": f"key-{number}", **headers}
        first, second = [await ok(service, path, body, **key) for _ in "ab"]
        assert second.headers["Idempotency-Replayed"] == "true"
        if body.get("background"):
            await get(service, f"{JOBS}/{first.json['id']}/events")
        else:
            assert second.text == first.text
        assert second.headers.get(IGNORED) == first.headers.get(IGNORED)
        wrong = await service.send(path, json.dumps(body, indent=1).encode(), key)
        assert wrong.status == 409


WAYS = (by_sessions, by_chats, by_responses, by_workflows, by_jobs, by_keys)


async def test_nothing_of_what_was_said_is_on_the_disk(tmp_path: Path) -> None:
    async with silent(tmp_path) as service:
        for way in WAYS:
            await way(service)
            assert told(tmp_path) == [], way
        assert (await get(service, SESSIONS)).json["total"] > 5
        await ok(service, PROMPT, {**SAID, "prompt": f"[[silent 600]]{SECRET}", "background": True})
    assert told(tmp_path) == []
    async with silent(tmp_path) as service:
        answer = await service.send(PROMPT, SAID, {"Idempotency-Key": "key-0"})
        assert (answer.status, answer.error["code"]) == (409, "answer_gone")
        answer = await service.send(
            PROMPT, {**SAID, "background": True}, {"Idempotency-Key": "key-6"}
        )
        assert (answer.status, answer.json["status"]) == (202, "completed")
        found = (await get(service, JOBS)).json["jobs"]
        assert {one["status"] for one in found} == {
            "completed", "failed", "canceled", "interrupted",
        }  # fmt: skip
        for one in found:
            place = f"{JOBS}/{one['id']}"
            known = (await get(service, place)).json
            assert "session.store_content" in known.pop("notice")
            assert known == one
            gone = await get(service, f"{place}/events")
            assert (gone.status, gone.error["param"]) == (404, "id")
            if one["kind"] == "chain":
                gone = await service.send(f"{place}/resume", {})
                assert (gone.status, gone.error["param"]) == (404, "id")
            async with service.client.delete(place) as response:
                assert response.status == 200
    assert told(tmp_path) == []


async def test_else_it_is_there(tmp_path: Path) -> None:
    async with silent(tmp_path, content=True) as service:
        await ok(service, PROMPT, SAID)
    assert told(tmp_path) == ["home/.clinvk/clinvk.db"]


async def test_what_a_caller_wants_not_stored_is_not_stored_for_its_key_either(
    tmp_path: Path,
) -> None:
    async with silent(tmp_path, content=True) as service:
        for path, body in (
            (CHAT, {"model": "echo", "messages": [USER]}),
            (RESPONSES, {"model": "echo", "input": SECRET}),
        ):
            key = {"Idempotency-Key": "the-same"}
            first, second = [await ok(service, path, {**body, "store": False}, **key) for _ in "ab"]
            assert second.headers["Idempotency-Replayed"] == "true"
            assert first.text == second.text
    assert told(tmp_path) == []
