"""``Idempotency-Key`` on every POST there is: carried out once, answered alike."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ..gate.routes import BODIES
from .service import NDJSON, Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

POSTS = {path: body for (method, path), body in BODIES.items() if method == "POST"}
ANSWERED = sorted(path for path in POSTS if "{" not in path)
PROMPT: dict[str, Any] = {"backend": "echo", "prompt": "hi"}


async def twice(service: Service, path: str, body: Any) -> None:
    """The same request twice, and once more with another body."""
    key = {"Idempotency-Key": f"twice-{path}"}
    first = await service.send(path, body, key)
    assert first.status in (200, 201, 202), first.text
    assert "Idempotency-Replayed" not in first.headers
    second = await service.send(path, body, key)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.status == first.status
    if first.status == 202:
        assert second.json["id"] == first.json["id"]
    else:
        assert second.text == first.text
    other = await service.send(path, json.dumps(body, indent=1).encode() + b" ", key)
    assert other.status == 409, other.text


@pytest.mark.parametrize("path", ANSWERED)
async def test_every_post_is_carried_out_once(service: Service, path: str) -> None:
    await twice(service, path, POSTS[path])


async def test_a_fork_is_made_once(service: Service) -> None:
    name = (await service.post(PROMPT)).json["session_id"]
    await twice(service, f"/api/v1/sessions/{name}/fork", None)


async def test_a_chain_is_resumed_once(service: Service) -> None:
    body = {"steps": [PROMPT, {**PROMPT, "prompt": "[[fail broken]]"}], "background": True}
    job = (await service.send("/api/v1/chain", body)).json["id"]
    async with service.client.get(f"/api/v1/jobs/{job}/events") as events:
        await events.read()
    await twice(service, f"/api/v1/jobs/{job}/resume", {})


async def test_a_response_is_cancelled_once(service: Service) -> None:
    body = {"model": "echo", "input": "[[silent 600]]", "background": True}
    name = (await service.send("/openai/v1/responses", body)).json["id"]
    await twice(service, f"/openai/v1/responses/{name}/cancel", None)


async def test_an_approval_is_decided_once(service: Service) -> None:
    body = {**PROMPT, "prompt": "[[ask shell]]", "approval_mode": "ask", "background": True}
    job = (await service.post(body)).json["id"]
    name = ""
    async with service.client.get(f"/api/v1/jobs/{job}/events", headers=NDJSON) as events:
        while not name:
            event = json.loads(await events.content.readline())
            if event["type"] == "approval_request":
                name = event["content"]["approval_id"]
    await twice(service, f"/api/v1/jobs/{job}/approvals/{name}", {"decision": "deny"})
    again = await service.send(f"/api/v1/approvals/{name}", {"decision": "deny"})
    assert again.status == 409
