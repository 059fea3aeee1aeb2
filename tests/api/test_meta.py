"""`GET /health`: what the daemon says of itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from clinvkd import __version__
from clinvkd.api.meta import _duration

from .service import Service, serving, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def health(service: Service) -> Any:
    async with service.client.get("/health") as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        return await response.json()


async def test_all_members(service: Service) -> None:
    await service.text("hi")
    body = await health(service)
    assert body["status"] == "ok"
    assert body["version"] == __version__
    assert body["uptime"].endswith("s")
    assert body["uptime_ms"] > 0
    assert body["default_backend"] == {"name": "echo", "reason": "configured as default_backend"}
    assert body["session_store"] == {
        "available": True,
        "session_count": await service.sessions(),
    }
    backends = {backend["name"]: backend for backend in body["backends"]}
    assert list(backends) == ["claude", "codex", "gemini", "local", "echo"]
    echo = backends["echo"]
    assert set(echo) == {
        "name", "driver", "embedded", "available", "reason", "version", "path", "warnings", "pool",
    }  # fmt: skip
    assert (echo["driver"], echo["embedded"], echo["available"]) == ("acp", True, True)
    assert (echo["reason"], echo["warnings"], echo["path"]) == (None, [], sys.executable)
    assert set(echo["pool"]) == {
        "agents", "starting", "spares", "busy", "parked", "queued", "restarts", "turns",
    }  # fmt: skip
    assert echo["pool"]["agents"] >= 1
    claude = backends["claude"]
    assert (claude["available"], claude["embedded"], claude["path"]) == (False, False, None)
    assert claude["reason"].startswith("not installed: 'claude' was not found (looked in ")


async def test_continued_turns_are_counted(service: Service) -> None:
    async def continued() -> int:
        return int((await health(service))["backends"][-1]["pool"]["turns"].get("continue", 0))

    before = await continued()
    session = (await service.post(prompt="a")).json["session_id"]
    await service.text("b", session_id=session)
    assert await continued() == before + 1


async def test_degraded_when_a_wanted_backend_is_missing(tmp_path: Path) -> None:
    async with serving(tmp_path, backends={"claude": {"model": "opus"}}) as service:
        assert (await health(service))["status"] == "degraded"


async def test_degraded_when_a_backend_is_broken(tmp_path: Path) -> None:
    broken = {"driver": "acp", "command": [sys.executable, "-c", "raise SystemExit(1)"]}
    async with serving(
        tmp_path, backends={"broken": broken}, pool={"crash_budget": 1, "spares": 0}
    ) as service:
        assert (await health(service))["status"] == "ok"
        assert (await service.post(prompt="hi", backend="broken")).status == 503
        await until(lambda: service.engine.pool("broken").crew.unavailable() is not None)
        body = await health(service)
        assert body["status"] == "degraded"
        assert body["backends"][-1]["available"] is False
        assert body["backends"][-1]["reason"]


async def test_unhealthy_when_nothing_can_answer(tmp_path: Path) -> None:
    off = {"enabled": False}
    async with serving(
        tmp_path, default_backend="auto", backends={"echo": off, "local": off}
    ) as service:
        body = await health(service)
        assert body["status"] == "unhealthy"
        assert body["default_backend"] == {"name": None, "reason": "no backend is available"}
        answer = await service.post({"prompt": "hi"})
        assert (answer.status, answer.error["param"]) == (503, "backend")
        assert answer.headers["Retry-After"] == "5"


async def test_why_an_embedded_agent_is_the_default(tmp_path: Path) -> None:
    off = {"enabled": False}
    async with serving(tmp_path, default_backend="auto", backends={"local": off}) as service:
        default = (await health(service))["default_backend"]
    assert default == {
        "name": "echo",
        "reason": "no agent CLI is available (looked for claude, codex, gemini)",
    }


async def test_an_agent_that_is_there_is_the_default(tmp_path: Path) -> None:
    mine = {"driver": "acp", "command": [sys.executable, "-m", "clinvkd.agents.echo"]}
    async with serving(tmp_path, default_backend="auto", backends={"mine": mine}) as service:
        default = (await health(service))["default_backend"]
        assert default == {"name": "mine", "reason": "the first agent CLI that is available"}
        assert (await service.post({"prompt": "hi"})).json["backend"] == "mine"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (31, "31s"), (151, "2m31s"), (3600, "1h0m0s"), (3723, "1h2m3s")],
)
async def test_uptime_is_told_as_people_say_it(seconds: int, text: str) -> None:
    assert _duration(seconds) == text
