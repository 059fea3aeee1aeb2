"""A store that cannot be used: what needs it says so, everything else goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clinvkd.store.database import Database

from .service import Answer, Service, serving

CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}
TASKS = {"tasks": [{"backend": "echo", "prompt": "one"}]}
BACKGROUND: dict[str, Any] = {"background": True}


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


async def pragma(service: Service, *settings: str) -> None:
    """Change how the daemon's own connection to the database works."""

    def run(database: Database) -> None:
        for setting in settings:
            database._connection.exec_driver_sql(f"PRAGMA {setting}")

    await service.engine.store._worker.read(run)


@pytest.mark.parametrize(
    ("breaks", "mends"),
    [
        # A full disk: not one page more than there is.
        ("max_page_count=1", "max_page_count=1000000"),
        ("query_only=ON", "query_only=OFF"),
    ],
    ids=["full", "read-only"],
)
async def test_a_store_that_can_only_be_read(tmp_path: Path, breaks: str, mends: str) -> None:
    big = {"backend": "echo", "prompt": "x" * 100_000}
    async with serving(tmp_path) as service:
        name = (await service.post(prompt="before")).json["session_id"]
        job = (await service.post(prompt="before", **BACKGROUND)).json["id"]
        await call(service, "GET", f"/api/v1/jobs/{job}/events")
        await pragma(service, breaks)

        for body in (big, {**big, "session_id": name}):
            answer = await service.post(body)
            assert answer.status == 200, answer.text
        chat = {"model": "echo", "messages": [{"role": "user", "content": big["prompt"]}]}
        assert (await service.send("/openai/v1/chat/completions", chat)).status == 200
        for path, body in (
            ("/api/v1/prompt", {**big, **BACKGROUND}),
            ("/openai/v1/responses", {"model": "echo", "input": big["prompt"], **BACKGROUND}),
        ):
            answer = await service.send(path, body)
            assert answer.status == 503, answer.text
            assert answer.json["error"]["code"] == "store_unavailable"
        listed = (await call(service, "GET", "/api/v1/sessions")).json
        assert [one["message_count"] for one in listed["sessions"]] == [2, 2]
        assert (await call(service, "GET", f"/api/v1/jobs/{job}")).json["status"] == "completed"
        assert (await call(service, "GET", "/api/v1/jobs")).json["total"] == 1
        assert (await call(service, "GET", "/health")).json["status"] == "degraded"

        await pragma(service, mends)
        assert (await service.post(prompt="after", session_id=name)).status == 200
        found = (await call(service, "GET", f"/api/v1/sessions/{name}?include=messages")).json
        said = [message["content"][0]["text"][:6] for message in found["messages"]]
        assert said == ["before"] * 2 + ["xxxxxx"] * 2 + ["after"] * 2
        assert (await call(service, "GET", "/health")).json["status"] == "ok"
