"""How many requests a client may send, and what every answer says of it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse

from clinvkd.keys import Key, KeyRing, Scopes

from ..api.service import PROMPT, SSE
from ..gate.stage import Stage, staged

KEY, OTHER = "clinvk_" + "a" * 40, "clinvk_" + "b" * 40
SLOW: dict[str, Any] = {"rate_limit_enabled": True, "rate_limit_rps": 0.001, "rate_limit_burst": 3}
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}


@asynccontextmanager
async def limited(
    folder: Path, scopes: Scopes | None = None, **server: Any
) -> AsyncIterator[Stage]:
    ring = None
    if scopes is not None:
        digests = (Key.of(KEY, "limited"), Key.of(OTHER, "other"))
        ring = KeyRing([Key("limited", digests[0].digest, scopes), digests[1]])
    async with staged(folder, ring, server=server) as stage:
        yield stage


async def ask(
    stage: Stage, path: str = "/health", body: Any = None, **headers: str
) -> ClientResponse:
    method = "GET" if body is None else "POST"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await stage.client.request(method, path, json=body, headers=named)
    await response.read()
    return response


def left(response: ClientResponse) -> tuple[str, str]:
    return response.headers["X-RateLimit-Limit"], response.headers["X-RateLimit-Remaining"]


async def test_without_a_limit_nothing_is_told(tmp_path: Path) -> None:
    async with limited(tmp_path) as stage:
        response = await ask(stage)
        assert response.status == 200
        assert not [name for name in response.headers if "ratelimit" in name.lower()]


async def test_every_answer_tells_what_is_left(tmp_path: Path) -> None:
    async with limited(tmp_path, **{**SLOW, "rate_limit_burst": 6}) as stage:
        prompt = {"backend": "echo", "prompt": "hi"}
        responses = [
            await ask(stage),
            await ask(stage, "/nothing"),
            await ask(stage, PROMPT, {**prompt, "prompt": 1}),
            await ask(stage, PROMPT, prompt),
            await ask(stage, PROMPT, prompt, **SSE),
            await ask(stage, "/anthropic/v1/messages", {**CHAT, "max_tokens": 9, "stream": True}),
        ]
        assert [response.status for response in responses] == [200, 404, 400, 200, 200, 200]
        assert [left(response) for response in responses] == [
            ("6", str(n)) for n in range(5, -1, -1)
        ]
        reset = int(responses[-1].headers["X-RateLimit-Reset"])
        assert 5000 < reset - time.time() <= 6001


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/health", None, ("error", "code", "rate_limited")),
        ("/openai/v1/chat/completions", CHAT, ("error", "code", "rate_limit_exceeded")),
        ("/anthropic/v1/messages", CHAT, ("error", "type", "rate_limit_error")),
        ("/nothing", None, ("error", "code", "rate_limited")),
    ],
)
async def test_too_many_are_a_429_of_the_dialect(
    tmp_path: Path, path: str, body: Any, kind: tuple[str, str, str]
) -> None:
    async with limited(tmp_path, **{**SLOW, "rate_limit_burst": 1}) as stage:
        assert (await ask(stage, path, body)).status != 429
        turns = stage.turns()
        response = await ask(stage, path, body)
        assert response.status == 429
        assert (await response.json())[kind[0]][kind[1]] == kind[2]
        assert left(response) == ("1", "0")
        assert 900 < int(response.headers["Retry-After"]) <= 1000
        assert stage.turns() == turns


async def test_the_anthropic_dialect_tells_it_in_its_own_headers(tmp_path: Path) -> None:
    async with limited(tmp_path, **SLOW) as stage:
        headers = (await ask(stage, "/anthropic/v1/models")).headers
        assert headers["anthropic-ratelimit-requests-limit"] == "3"
        assert headers["anthropic-ratelimit-requests-remaining"] == "2"
        full = datetime.fromisoformat(headers["anthropic-ratelimit-requests-reset"])
        assert full.timestamp() == int(headers["X-RateLimit-Reset"])
        assert "anthropic-ratelimit-requests-limit" not in (await ask(stage)).headers


async def test_keys_are_counted_apart_from_addresses(tmp_path: Path) -> None:
    async with limited(tmp_path, Scopes(), **SLOW) as stage:
        mine, others = f"Bearer {KEY}", f"Bearer {OTHER}"
        assert left(await ask(stage, Authorization=mine)) == ("3", "2")
        assert left(await ask(stage, Authorization=mine)) == ("3", "1")
        assert left(await ask(stage, Authorization=others)) == ("3", "2")
        assert left(await ask(stage)) == ("3", "2")


async def test_the_requests_per_minute_of_a_key_are_its_own(tmp_path: Path) -> None:
    async with limited(tmp_path, Scopes(requests_per_minute=2)) as stage:
        mine = {"Authorization": f"Bearer {KEY}"}
        statuses = [(await ask(stage, **mine)).status for _ in range(3)]
        assert statuses == [200, 200, 429]
        response = await ask(stage, Authorization=f"Bearer {OTHER}")
        assert response.status == 200
        assert "X-RateLimit-Limit" not in response.headers


async def test_the_stricter_limit_is_told(tmp_path: Path) -> None:
    async with limited(tmp_path, Scopes(requests_per_minute=2), **SLOW) as stage:
        mine = {"Authorization": f"Bearer {KEY}"}
        assert left(await ask(stage, **mine)) == ("2", "1")


async def test_a_proxy_that_is_not_trusted_changes_nothing(tmp_path: Path) -> None:
    async with limited(tmp_path, **{**SLOW, "rate_limit_burst": 1}) as stage:
        assert (await ask(stage, X_Forwarded_For="192.0.2.1")).status == 200
        assert (await ask(stage, X_Forwarded_For="192.0.2.2")).status == 429


async def test_a_trusted_proxy_speaks_for_its_clients(tmp_path: Path) -> None:
    trusting: dict[str, Any] = {**SLOW, "rate_limit_burst": 1, "trusted_proxies": ["127.0.0.0/8"]}
    async with limited(tmp_path, **trusting) as stage:
        assert (await ask(stage, X_Forwarded_For="192.0.2.1")).status == 200
        assert (await ask(stage, X_Forwarded_For="192.0.2.2")).status == 200
        assert (await ask(stage, X_Forwarded_For="203.0.113.1, 192.0.2.2")).status == 429


async def test_turns_at_once_and_tokens_of_a_key(tmp_path: Path) -> None:
    scopes = Scopes(concurrent_turns=1, tokens_per_day=10)
    async with limited(tmp_path, scopes) as stage:
        mine = {"Authorization": f"Bearer {KEY}"}
        body = {"backend": "echo", "prompt": "[[slow 600]]one two"}
        async with stage.client.post(PROMPT, json=body, headers={**SSE, **mine}) as running:
            await running.content.readuntil(b'"text":"one "')
            refused = await ask(stage, PROMPT, {**body, "prompt": "two"}, **mine)
            assert refused.status == 429
            assert "1 turns at once" in (await refused.json())["error"]["message"]
        await stage.idle()
        spent = await ask(stage, PROMPT, {**body, "prompt": "one two three four five six"}, **mine)
        assert (await spent.json())["token_usage"]["input_tokens"] == 6
        refused = await ask(stage, PROMPT, {**body, "prompt": "more"}, **mine)
        assert refused.status == 429
        assert "10 tokens per day" in (await refused.json())["error"]["message"]
        assert (await ask(stage, "/openai/v1/models", **mine)).status == 200
