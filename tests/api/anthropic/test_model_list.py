"""`GET /models` and `GET /models/{id}`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .talk import BACKENDS, Anthropic, error_of, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def listed(anthropic: Anthropic, query: str = "") -> dict[str, Any]:
    answer = await anthropic.request("GET", f"/models{query}")
    assert answer.status == 200, answer.text
    return dict(answer.json)


def ids(page: dict[str, Any]) -> list[str]:
    return [model["id"] for model in page["data"]]


async def test_the_models_of_available_backends(tmp_path: Path) -> None:
    backends = {
        **BACKENDS,
        "echo": {"model": "large", "models": ["small"]},
        "local": {"enabled": False},
    }
    models = {"aliases": {"gpt-x": "echo/small", "lost": "claude/opus"}}
    async with serving(tmp_path, backends=backends, models=models) as anthropic:
        page = await listed(anthropic)
        assert ids(page) == ["echo", "echo/large", "echo/small", "plain", "gpt-x"]
        assert page["data"][0] == {
            "type": "model",
            "id": "echo",
            "display_name": "echo",
            "created_at": "2025-01-01T00:00:00Z",
            "lifecycle": "active",
        }
        assert (page["first_id"], page["last_id"], page["has_more"]) == ("echo", "gpt-x", False)
        for name in (*ids(page), "claude", "lost"):
            answer = await anthropic.request("GET", f"/models/{name}")
            assert (answer.status, answer.json["id"]) == (200, name)
        answer = await anthropic.request("GET", "/models/no-such-model")
        assert (answer.status, error_of(answer)["type"]) == (404, "not_found_error")


async def test_pages(tmp_path: Path) -> None:
    names = ["echo", *(f"echo/m{number}" for number in range(6))]
    backends: dict[str, Any] = {
        "echo": {"models": [f"m{number}" for number in range(6)]},
        "local": {"enabled": False},
    }
    async with serving(tmp_path, backends=backends) as anthropic:
        seen, query = [], "?limit=3"
        while True:
            page = await listed(anthropic, query)
            seen += ids(page)
            if not page["has_more"]:
                break
            query = f"?limit=3&after_id={page['last_id']}"
        assert seen == names
        page = await listed(anthropic, "?limit=2&before_id=echo/m3")
        assert (ids(page), page["has_more"]) == (["echo/m1", "echo/m2"], True)
        page = await listed(anthropic, "?limit=2&before_id=echo/m1")
        assert (ids(page), page["has_more"]) == (["echo", "echo/m0"], False)
        page = await listed(anthropic, "?after_id=echo/m5")
        assert page == {"data": [], "has_more": False, "first_id": None, "last_id": None}


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "1" * 5000, "²"])
async def test_wrong_limits(anthropic: Anthropic, limit: str) -> None:
    answer = await anthropic.request("GET", f"/models?limit={limit}")
    assert (answer.status, error_of(answer)["type"]) == (400, "invalid_request_error")
