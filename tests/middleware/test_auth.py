"""Who may ask: keys on every route, in every place a client may put them, and without keys."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import pytest_asyncio

from clinvkd.api import DIALECTS
from clinvkd.keys import Key, KeyRing, Scopes
from clinvkd.middleware.auth import Failures

from ..api.service import PROMPT, Service, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEY, NARROW, WRONG = (f"clinvk_{letter * 43}" for letter in "knw")
BODY = {"backend": "echo", "prompt": "hi"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gated(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """A service with keys."""
    narrow = Key("narrow", Key.of(NARROW).digest, Scopes.parse(["backends=claude"]))
    ring = KeyRing([Key.of(KEY, "ci"), narrow])
    server = {"trusted_proxies": ["127.0.0.1"]}  # so that every request may have its own address
    async with serving(tmp_path_factory.mktemp("gated"), ring, server=server) as running:
        yield running


_addresses = (f"10.0.{third}.{fourth}" for third in range(256) for fourth in range(256))


async def ask(
    service: Service,
    path: str,
    method: str = "GET",
    headers: Mapping[str, str] = MappingProxyType({}),
    **options: Any,
) -> tuple[int, dict[str, Any]]:
    """One request from an address of its own: wrong keys are counted by address."""
    headers = {"X-Forwarded-For": next(_addresses), **headers}
    async with service.client.request(method, path, headers=headers, **options) as response:
        endless = response.content_type == "text/event-stream"
        text = "" if endless else await response.text()
        assert KEY not in text
        assert WRONG not in text
        if response.status == 401:
            assert response.headers["WWW-Authenticate"] == "Bearer"
        is_json = response.content_type == "application/json"
        return response.status, json.loads(text) if text and is_json else {}


ROUTES = [
    (method, dialect.prefix + route.path.partition("{")[0], route)
    for dialect in DIALECTS
    for route in dialect.endpoints
    for method in (("GET", "HEAD") if route.method == "GET" else (route.method,))
]

ASSETS = {"/docs/": "swagger-ui.css", "/dashboard/": "main.js"}


@pytest.mark.parametrize(("method", "path", "route"), ROUTES, ids=lambda value: str(value)[:40])
async def test_every_route_but_the_public_needs_a_key(
    gated: Service, method: str, path: str, route: Any
) -> None:
    path += ASSETS.get(path, "x") if "{" in route.path else ""
    options: dict[str, Any] = {"json": {}} if route.body is not None else {}
    status, _ = await ask(gated, path, method, **options)
    assert status == (200 if route.public else 401)
    wrong = {"Authorization": f"Bearer {WRONG}"}
    assert (await ask(gated, path, method, headers=wrong, **options))[0] == 401
    status, _ = await ask(gated, path, method, headers={"X-Api-Key": KEY}, **options)
    assert status not in (401, 403, 429)


async def test_only_health_and_the_pages_are_public() -> None:
    public = {route.path for _, _, route in ROUTES if route.public}
    pages = {"/", "/dashboard/{asset}", "/docs", "/docs/{asset}"}
    assert public == {"/health", "/openapi.json", "/openapi.yaml", *pages}


@pytest.mark.parametrize(
    "path", ["/nothing", "/openai/v1/nothing", "/anthropic/v1/x", "/health/", "/%68ealt", "/Health"]
)  # fmt: skip
async def test_what_does_not_exist_is_closed_too(gated: Service, path: str) -> None:
    assert (await ask(gated, path))[0] == 401
    assert (await ask(gated, path, headers={"X-Api-Key": KEY}))[0] == 404


@pytest.mark.parametrize(
    "target", ["//health", "/./health", "/x/../api/v1/backends", "/api/v1/backends;/health",
               "/api/v1/backends%2f..%2f..%2fhealth", "/api/v1/backends?/health", "/health%00"],
)  # fmt: skip
async def test_no_way_of_writing_a_path_leads_around(gated: Service, target: str) -> None:
    head = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    status, text = await gated.raw(head.encode())
    assert status in (400, 401), text


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"Authorization": "Bearer {}"}, ""),
        ({"authorization": "bearer  {} "}, ""),
        ({"X-Api-Key": "{}"}, ""),
        ({"x-api-key": " {}"}, ""),
        ({}, "?api_key={}"),
        ({"Authorization": "Bearer {}", "X-Api-Key": "{}"}, "?api_key={}&api_key={}"),
        ({"Authorization": "Basic dTpw", "X-Api-Key": "{}"}, ""),
        ({"Authorization": "", "X-Api-Key": "{}"}, "?api_key="),
    ],
)
async def test_a_key_may_stand_in_these_places(
    gated: Service, headers: dict[str, str], query: str
) -> None:
    for key, wanted in ((KEY, 200), (WRONG, 401)):
        given = {name: value.format(key) for name, value in headers.items()}
        status, _ = await ask(gated, f"/api/v1/backends{query.format(key, key)}", headers=given)
        assert status == wanted


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"Authorization": f"Bearer {KEY}", "X-Api-Key": WRONG}, ""),
        ({"Authorization": f"Bearer {WRONG}", "X-Api-Key": KEY}, ""),
        ({"Authorization": f"Bearer {KEY}", "X-Api-Key": NARROW}, ""),
        ({"X-Api-Key": KEY}, f"?api_key={WRONG}"),
        ({}, f"?api_key={KEY}&api_key={WRONG}"),
        ({"Authorization": KEY}, ""),
        ({"Authorization": f"Token {KEY}"}, ""),
        ({"Cookie": f"api_key={KEY}"}, ""),
        ({"Api-Key": KEY}, ""),
        ({"X-Api-Key": KEY[:-1]}, ""),
        ({"X-Api-Key": f"{KEY},{KEY}"}, ""),
        ({}, f"?API_KEY={KEY}"),
        ({}, f"?key={KEY}"),
    ],
)
async def test_anything_else_is_no_key(gated: Service, headers: dict[str, str], query: str) -> None:
    status, _ = await ask(gated, f"/api/v1/backends{query}", headers=headers)
    assert status == 401


async def test_two_header_lines_must_agree(gated: Service) -> None:
    for second, wanted in ((KEY, 200), (NARROW, 401)):
        head = (
            f"GET /api/v1/backends HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {KEY}\r\n"
            f"X-Api-Key: {second}\r\nConnection: close\r\n\r\n"
        )
        assert (await gated.raw(head.encode()))[0] == wanted


async def test_bytes_that_are_no_text_are_no_key(gated: Service) -> None:
    head = b"GET /api/v1/backends HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: \xff\xfe\xc3\r\n"
    status, _ = await gated.raw(head + b"Connection: close\r\n\r\n")
    assert status in (400, 401)  # 400 where the parser itself refuses it


async def test_each_dialect_refuses_in_its_own_form(gated: Service) -> None:
    message = "send a valid API key, as Authorization: Bearer or as X-Api-Key"
    _, body = await ask(gated, "/openai/v1/models")
    assert body == {
        "error": {
            "message": message,
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_api_key",
        }
    }
    _, body = await ask(gated, "/anthropic/v1/models")
    assert (body["type"], body["error"]) == (
        "error",
        {"type": "authentication_error", "message": message},
    )
    _, body = await ask(gated, "/api/v1/backends")
    assert body["error"]["code"] == "unauthorized"
    assert body["error"]["type"] == "authentication_error"


async def test_a_page_cannot_use_a_key_in_an_address(gated: Service) -> None:
    own = f"http://127.0.0.1:{gated.port}"
    path = f"/api/v1/backends?api_key={KEY}"
    assert (await ask(gated, path))[0] == 200
    assert (await ask(gated, path, headers={"Origin": own}))[0] == 401
    assert (await ask(gated, path, headers={"Origin": own, "X-Api-Key": KEY}))[0] == 200


async def test_a_key_in_the_address_can_be_switched_off(tmp_path: Path) -> None:
    ring = KeyRing([Key.of(KEY)])
    async with serving(tmp_path, ring, server={"allow_query_api_key": False}) as service:
        assert (await ask(service, f"/api/v1/backends?api_key={KEY}"))[0] == 401
        assert (await ask(service, "/api/v1/backends", headers={"X-Api-Key": KEY}))[0] == 200


async def test_without_a_key_health_tells_the_status_only(gated: Service) -> None:
    assert await ask(gated, "/health") == (200, {"status": "ok"})
    _, body = await ask(gated, "/health", headers={"X-Api-Key": KEY})
    assert body["api_keys"] == {"required": True, "count": 2, "stale": None}
    assert body["backends"]


async def test_scopes_hold_in_every_dialect(gated: Service) -> None:
    headers = {"X-Api-Key": NARROW}
    messages = [{"role": "user", "content": "hi"}]
    for path, body in {
        PROMPT: BODY,
        "/openai/v1/chat/completions": {"model": "echo", "messages": messages},
        "/openai/v1/completions": {"model": "echo", "prompt": "hi"},
        "/openai/v1/responses": {"model": "echo", "input": "hi"},
        "/anthropic/v1/messages": {"model": "echo", "messages": messages, "max_tokens": 9},
    }.items():
        status, told = await ask(gated, path, "POST", json=body, headers=headers)
        assert status == 403, path
        assert "this API key may not use backend 'echo'; allowed: claude" in str(told)
        status, _ = await ask(gated, path, "POST", json=body, headers={"X-Api-Key": KEY})
        assert status == 200, path


async def shown(service: Service, key: str) -> list[set[str]]:
    """The backends and models that each dialect shows to a key."""
    headers = {"X-Api-Key": key}
    _, backends = await ask(service, "/api/v1/backends", headers=headers)
    told = [{backend["name"] for backend in backends["backends"]}]
    for path in ("/openai/v1/models?include=unavailable", "/anthropic/v1/models"):
        _, models = await ask(service, path, headers=headers)
        told.append({model["id"] for model in models["data"]})
    return told


async def test_a_key_is_shown_the_backends_it_is_for(gated: Service) -> None:
    backends, models, available = await shown(gated, KEY)
    assert {"echo", "claude"} <= backends
    assert {"echo", "claude"} <= models
    assert "echo" in available
    assert await shown(gated, NARROW) == [{"claude"}, {"claude"}, set()]
    for path in ("/openai/v1/models/", "/anthropic/v1/models/"):
        for key, name, status in (
            (KEY, "echo", 200), (NARROW, "echo", 404), (NARROW, "claude", 200),
        ):  # fmt: skip
            assert (await ask(gated, path + name, headers={"X-Api-Key": key}))[0] == status


async def test_a_key_is_shown_the_models_it_is_for(tmp_path: Path) -> None:
    """By the names they are called, and by those the agent is given for them."""
    ring = KeyRing([Key("a", Key.of(KEY).digest, Scopes.parse(["models=small-*,nick"]))])
    sections = {
        "backends": {"claude": {"models": ["small-1", "large-1"]}},
        "models": {"aliases": {"nick": "claude/large-1", "mini": "claude/small-1"}},
    }
    async with serving(tmp_path, ring, **sections) as service:
        _, models, _ = await shown(service, KEY)
        assert models == {"claude/small-1", "nick", "mini"}


async def test_what_one_client_keeps_no_other_finds(tmp_path: Path) -> None:
    ring = KeyRing([Key.of(KEY, "one"), Key.of(NARROW, "two")])
    async with serving(tmp_path, ring) as service:
        one, two = {"X-Api-Key": KEY}, {"X-Api-Key": NARROW}
        _, kept = await ask(service, PROMPT, "POST", json=BODY, headers=one)
        again = {**BODY, "session_id": kept["session_id"]}
        assert (await ask(service, PROMPT, "POST", json=again, headers=two))[0] == 404
        assert (await ask(service, PROMPT, "POST", json=again, headers=one))[0] == 200
        _, response = await ask(
            service, "/openai/v1/responses", "POST",
            json={"model": "echo", "input": "hi"}, headers=one,
        )  # fmt: skip
        path = f"/openai/v1/responses/{response['id']}"
        assert (await ask(service, path, headers=two))[0] == 404
        assert (await ask(service, path, "DELETE", headers=two))[0] == 404
        following = {"model": "echo", "input": "on", "previous_response_id": response["id"]}
        for headers, wanted in ((two, 400), (one, 200)):
            status, _ = await ask(
                service, "/openai/v1/responses", "POST", json=following, headers=headers
            )
            assert status == wanted
        assert (await ask(service, path, headers=one))[0] == 200


async def test_guessing_gets_slow_and_valid_keys_do_not(tmp_path: Path) -> None:
    async with serving(tmp_path, KeyRing([Key.of(KEY)])) as service:
        guesses = [{"X-Api-Key": f"guess-{number}"} for number in range(12)]
        told = [(await ask(service, "/api/v1/backends", headers=guess))[0] for guess in guesses]
        assert told == [401] * 10 + [429] * 2
        async with service.client.get("/api/v1/backends", headers=guesses[0]) as response:
            assert 1 <= int(response.headers["Retry-After"]) <= 60
        assert (await ask(service, "/api/v1/backends", headers={"X-Api-Key": KEY}))[0] == 200
        assert (await ask(service, "/api/v1/backends"))[0] == 401


async def test_failures_are_forgotten_after_a_minute() -> None:
    failures = Failures()
    for second in range(10):
        assert failures.refusal("a", float(second)).status == 401
    waiting = failures.refusal("a", 10.0)
    assert (waiting.status, waiting.retry_after) == (429, 50)
    assert failures.refusal("b", 10.0).status == 401
    assert failures.refusal("a", 61.5).status == 401


async def test_a_revoked_key_is_refused_at_once(tmp_path: Path) -> None:
    ring = KeyRing([Key.of(KEY)])
    async with serving(tmp_path, ring) as service:
        headers = {"X-Api-Key": KEY}
        assert (await ask(service, "/api/v1/backends", headers=headers))[0] == 200
        ring.replace([])
        assert (await ask(service, "/api/v1/backends", headers=headers))[0] == 401
        assert (await ask(service, "/api/v1/backends"))[0] == 401


async def test_without_keys_what_clients_send_as_one_means_nothing(service: Service) -> None:
    for headers in ({"Authorization": "Bearer unused"}, {"X-Api-Key": "a", "Authorization": "b"}):
        assert (await ask(service, "/api/v1/backends", headers=headers))[0] == 200


@pytest.mark.parametrize("mode", [{"approval_mode": "none"}, {"sandbox_mode": "full"}])
async def test_without_keys_dangerous_modes_are_refused(
    service: Service, gated: Service, mode: dict[str, str]
) -> None:
    status, body = await ask(service, PROMPT, "POST", json={**BODY, **mode})
    assert (status, body["error"]["param"]) == (403, next(iter(mode)))
    assert "clinvk keys generate" in body["error"]["message"]
    key = {"X-Api-Key": KEY}
    assert (await ask(gated, PROMPT, "POST", json={**BODY, **mode}, headers=key))[0] == 200


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can be another user"
)
async def test_without_keys_other_users_are_refused(service: Service) -> None:
    """On one connection, so that what was found out of it is used again."""
    program = (
        "import encodings.idna, http.client, os, socket, sys\n"
        "os.setuid(65534)\n"
        f"connection = http.client.HTTPConnection('127.0.0.1', {service.port}, timeout=60)\n"
        "for path in ('/api/v1/backends', '/health', '/nothing', '/api/v1/backends'):\n"
        "    connection.request('GET', path)\n"
        "    answer = connection.getresponse()\n"
        "    print(answer.status, answer.read().decode())\n"
    )
    # In a process, not a thread: the service needs the loop meanwhile.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=subprocess.PIPE
    )
    output, _ = await process.communicate()
    lines = output.decode().splitlines()
    assert [line[:3] for line in lines] == ["403", "200", "403", "403"]
    assert "clinvk keys generate" in lines[0]
    assert lines[1] == '200 {"status":"ok"}'


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can come in as root"
)
async def test_without_keys_root_comes_in_whoever_runs_the_daemon(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    assert (await ask(service, "/api/v1/backends", headers={"Connection": "close"}))[0] == 200
