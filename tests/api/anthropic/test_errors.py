"""Errors in Anthropic's envelope, with its statuses and headers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from .talk import BACKENDS, MESSAGES, PREFIX, Anthropic, error_of, serving, user

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASKED = {"model": "echo", "max_tokens": 9, "messages": [user("hi")]}


@pytest.mark.parametrize("prefix", ["/anthropic/v1", "/anthropic/v1/v1"])
@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "kind"),
    [
        ("POST", "/nothing", ASKED, {}, 404, "not_found_error"),
        ("GET", MESSAGES, None, {}, 405, "invalid_request_error"),
        ("PUT", MESSAGES, ASKED, {}, 405, "invalid_request_error"),
        ("POST", MESSAGES, b"x=1", {"Content-Type": "text/plain"}, 415, "invalid_request_error"),
        ("POST", MESSAGES, b"{", {}, 400, "invalid_request_error"),
        ("POST", MESSAGES, b'["list"]', {}, 400, "invalid_request_error"),
        ("POST", MESSAGES, ASKED, {"Origin": "http://evil.example"}, 403, "permission_error"),
        ("GET", "/models/no-such-model", None, {}, 404, "not_found_error"),
        ("GET", "/models?limit=0", None, {}, 400, "invalid_request_error"),
    ],
)
async def test_the_envelope(
    anthropic: Anthropic,
    prefix: str,
    method: str,
    path: str,
    body: Any,
    headers: dict[str, str],
    status: int,
    kind: str,
) -> None:
    answer = await anthropic.request(method, path, body, headers, prefix=prefix)
    assert (answer.status, error_of(answer)["type"]) == (status, kind)


async def test_the_callers_own_request_id_is_kept(anthropic: Anthropic) -> None:
    answer = await anthropic.request("POST", MESSAGES, {}, {"X-Request-Id": "mine-1"})
    assert answer.json["request_id"] == answer.headers["request-id"] == "mine-1"


async def test_a_body_that_is_too_large(tmp_path: Path) -> None:
    async with serving(tmp_path, server={"max_request_body_bytes": 1000}) as anthropic:
        answer = await anthropic.post("x" * 2000)
    assert (answer.status, error_of(answer)["type"]) == (413, "request_too_large")


async def test_a_model_that_means_nothing_where_names_are_strict(tmp_path: Path) -> None:
    async with serving(tmp_path, models={"strict_models": True}) as anthropic:
        for path in (MESSAGES, f"{MESSAGES}/count_tokens"):
            answer = await anthropic.request("POST", path, {**ASKED, "model": "mystery-1"})
            error = error_of(answer)
            assert (answer.status, error["type"]) == (404, "not_found_error")
            assert "mystery-1" in error["message"]


async def test_a_full_pool_is_overloaded(tmp_path: Path) -> None:
    limits = {"agents": 1, "conversations": 1, "queue_length": 0}
    backends = {"narrow": {**BACKENDS["plain"], "pool": limits}}
    async with serving(tmp_path, backends=backends) as anthropic:
        body = {**ASKED, "model": "narrow", "messages": [user("[[slow 600]]one two")]}
        url = PREFIX + MESSAGES
        async with anthropic.service.client.post(url, json={**body, "stream": True}) as running:
            async with asyncio.timeout(30):
                await running.content.readuntil(b"one")
            answer = await anthropic.post("hi", model="narrow")
    assert (answer.status, error_of(answer)["type"]) == (529, "overloaded_error")
    assert int(answer.headers["Retry-After"]) >= 1


async def test_a_backend_that_is_not_there(anthropic: Anthropic) -> None:
    answer = await anthropic.post("hi", model="claude")
    assert (answer.status, error_of(answer)["type"]) == (503, "api_error")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_budget_that_runs_out(tmp_path: Path, stream: bool) -> None:
    async with serving(tmp_path, pool={"first_byte_timeout_secs": 0.2}) as anthropic:
        answer = await anthropic.post("[[silent 600]]never", stream=stream)
    assert (answer.status, error_of(answer)["type"]) == (504, "timeout_error")
