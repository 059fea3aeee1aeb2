"""A store that cannot be used: what needs it says so, everything else goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .service import Answer, Service, serving

CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}
TASKS = {"tasks": [{"backend": "echo", "prompt": "one"}]}
BACKGROUND = {"background": True}


async def call(service: Service, method: str, path: str, body: Any = None) -> Answer:
    async with service.client.request(method, path, json=body) as response:
        return await Answer.of(response)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A home in which the place of the database is taken by something else."""
    (tmp_path / "home" / ".clinvk" / "clinvk.db").mkdir(parents=True)
    return tmp_path


async def test_what_needs_the_store_is_503_and_the_rest_keeps_working(broken: Path) -> None:
    async with serving(broken) as service:
        for method, path, body in (
            ("GET", "/api/v1/sessions", None),
            ("GET", f"/api/v1/sessions/{'0' * 32}", None),
            ("DELETE", f"/api/v1/sessions/{'0' * 32}", None),
            ("GET", "/api/v1/jobs", None),
            ("GET", "/api/v1/jobs/x", None),
            ("POST", "/api/v1/prompt", {"backend": "echo", "prompt": "x", **BACKGROUND}),
            ("POST", "/api/v1/parallel", {**TASKS, **BACKGROUND}),
            ("POST", "/api/v1/prompt", {"backend": "echo", "prompt": "x", "session_id": "0" * 32}),
        ):
            answer = await call(service, method, path, body)
            assert (answer.status, answer.error["code"]) == (503, "store_unavailable"), path
        key = {"Idempotency-Key": "k"}
        answer = await service.post(prompt="x", headers=key)
        assert (answer.status, answer.error["code"]) == (503, "store_unavailable")

        assert await service.text("hello") == "hello"
        assert (await call(service, "POST", "/api/v1/parallel", TASKS)).status == 200
        assert (await call(service, "POST", "/openai/v1/chat/completions", CHAT)).status == 200
        messages = {**CHAT, "max_tokens": 10}
        assert (await call(service, "POST", "/anthropic/v1/messages", messages)).status == 200
        health = await call(service, "GET", "/health")
        assert (health.status, health.json["status"]) == (200, "degraded")
    assert (broken / "home" / ".clinvk" / "clinvk.db").is_dir()
