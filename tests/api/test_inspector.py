"""The last requests, as `/api/v1/requests` shows them: to whom, how many, and without secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from clinvkd.keys import Key, KeyRing, Scopes

from .live import watching
from .service import PROMPT, SSE, Answer, Service, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

REQUESTS = "/api/v1/requests"
ALICE, BOB, CHIEF = ("clinvk_" + letter * 40 for letter in "abc")
MARKER = "clinvk_" + "m4rk3r" * 6
MOST = 16 * 1024


def by(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    chief = replace(Key.of(CHIEF, "chief"), scopes=Scopes(every_session=True))
    ring = KeyRing([Key.of(ALICE, "alice"), Key.of(BOB, "bob"), chief])
    async with serving(tmp_path_factory.mktemp("inspector"), ring) as running:
        yield running


async def inspect(service: Service, key: str = CHIEF, place: str = "", **query: str) -> Answer:
    async with service.client.get(REQUESTS + place, params=query, headers=by(key)) as response:
        return await Answer.of(response)


async def newest(service: Service, key: str = CHIEF) -> Any:
    return (await inspect(service, key, limit="1")).json["data"][0]


async def test_a_request_and_its_answer(service: Service) -> None:
    asked = {"backend": "echo", "prompt": "hello", "metadata": {"a": "b"}}
    answer = await service.send(f"{PROMPT}?trace=1", asked, {**by(ALICE), "X-Mine": "yes"})
    seen = await newest(service)
    assert (seen["method"], seen["path"]) == ("POST", f"{PROMPT}?trace=1")
    assert (seen["route"], seen["status"], seen["dialect"]) == (PROMPT, 200, "native")
    assert (seen["key"], seen["request_id"]) == ("alice", answer.headers["X-Request-Id"])
    assert seen["request_headers"]["X-Mine"] == "yes"
    assert seen["request_headers"]["Authorization"] == "[redacted]"
    assert seen["request_body"] == '{"backend": "echo", "prompt": "hello", "metadata": {"a": "b"}}'
    assert seen["truncated"] is False
    assert seen["response_headers"]["Content-Type"].startswith("application/json")
    assert seen["duration_ms"] > 0
    assert (await inspect(service, place=f"/{seen['id']}")).json == seen


async def test_what_looks_like_a_secret_is_nowhere(service: Service) -> None:
    headers = {
        **by(ALICE),
        "Cookie": f"session={MARKER}",
        "X-Goog-Api-Key": "m4rk3r" * 6,
        "X-Note": f"I say {MARKER}",
        "Referer": f"http://localhost/?api_key={MARKER}",
    }
    body = {"backend": "echo", "prompt": f"my key is {MARKER}", "metadata": {"token": "m4rk3r"}}
    async with watching(service, by(CHIEF)) as feed:
        answer = await service.send(f"{PROMPT}?api_key={ALICE}&password=m4rk3r", body, headers)
        assert answer.status == 200
        told = await feed.until("request")
    whole = await inspect(service)
    seen = whole.json["data"][0]
    assert seen["path"] == f"{PROMPT}?api_key=[redacted]&password=[redacted]" == told["path"]
    assert seen["request_headers"]["X-Note"] == "I say [redacted]"
    assert seen["request_body"].count("[redacted]") == 2
    for secret in ("m4rk3r", ALICE, CHIEF):
        assert secret not in whole.text + str(told)


async def test_a_key_sees_its_own(service: Service) -> None:
    await service.post(prompt="alice's own", headers=by(ALICE))
    await service.post(prompt="bob's own", headers=by(BOB))
    await service.post(prompt="nobody's own")
    (bobs,) = (await inspect(service, BOB)).json["data"]
    assert "bob's own" in bobs["request_body"]
    assert (await inspect(service, ALICE, f"/{bobs['id']}")).status == 404
    refused, second, first = (await inspect(service, CHIEF, limit="3")).json["data"]
    assert (first["key"], second["key"]) == ("alice", "bob")
    assert (refused["status"], "key" in refused) == (401, False)


async def test_what_was_refused_is_shown_as_it_was_sent(service: Service) -> None:
    await service.send(PROMPT, b'{"prompt": 1', by(ALICE))
    seen = await newest(service)
    assert (seen["status"], seen["request_body"]) == (400, '{"prompt": 1')
    await service.send("/openai/v1/nothing", b"{}", by(ALICE))
    seen = await newest(service)
    assert (seen["status"], seen["path"], seen["route"]) == (404, "/openai/v1/nothing", "unknown")
    assert seen["dialect"] == "openai"
    assert "request_body" not in seen  # nobody read it


async def test_a_long_body_is_cut_and_no_secret_with_it(service: Service) -> None:
    begin = '{"backend": "echo", "prompt": "'
    filling = "a b " * ((MOST - len(begin) - 12) // 4)
    body = f'{begin}{filling} {MARKER} {"c " * 9000}"}}'.encode()
    assert (await service.send(PROMPT, body, by(ALICE))).status == 200
    seen = await newest(service)
    assert seen["truncated"] is True
    assert len(seen["request_body"]) <= MOST
    assert "b  [redacted" in seen["request_body"][-16:]
    assert "m4rk" not in seen["request_body"]


async def test_bytes_that_are_no_text_do_no_harm(service: Service) -> None:
    request = (
        b"POST /api/v1/prompt HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: " + ALICE.encode()
        + b"\r\nX-Odd: \xff\xfe\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        b"Connection: close\r\n\r\n\xff\xfe"
    )  # fmt: skip
    status, _ = await service.raw(request)
    assert status == 400
    seen = await newest(service)
    assert (seen["status"], seen["request_body"]) == (400, "\ufffd\ufffd")
    assert seen["request_headers"]["X-Odd"] == "\ufffd\ufffd"


async def test_looking_is_not_a_request_to_look_at(service: Service) -> None:
    """Nor is what a page, a monitor or a collector of metrics asks."""
    await service.post(prompt="the last", headers=by(ALICE))
    before = await inspect(service)
    await inspect(service, place="/1")
    for path in ("/health", "/docs", "/openapi.json"):
        async with service.client.get(path) as response:
            assert response.status == 200
    assert (await inspect(service)).json == before.json
    assert (await inspect(service, place="/no-such")).error["param"] == "id"
    assert (await inspect(service, limit="0")).error["param"] == "limit"


async def test_what_the_caller_wants_forgotten_is_not_kept(service: Service) -> None:
    chat = {"model": "echo", "messages": [{"role": "user", "content": "whispered"}]}
    for path, body in (
        (PROMPT, {"backend": "echo", "prompt": "whispered", "ephemeral": True}),
        ("/openai/v1/chat/completions", {**chat, "store": False}),
        ("/openai/v1/responses", {"model": "echo", "input": "whispered", "store": False}),
    ):
        assert (await service.send(path, body, by(ALICE))).status == 200
        seen = await newest(service)
        assert (seen["path"], "request_body" in seen) == (path, False)


async def test_only_so_many_are_kept(tmp_path: Path) -> None:
    async with serving(tmp_path, inspector={"requests": 3}) as service:
        for number in range(5):
            await service.post(prompt=f"number {number}", headers=SSE)
        async with service.client.get(REQUESTS) as response:
            bodies = [one["request_body"] for one in (await response.json())["data"]]
    assert [body[-3] for body in bodies] == ["4", "3", "2"]


async def test_an_id_of_another_run_names_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.post(prompt="before")
        async with service.client.get(REQUESTS) as response:
            before = (await response.json())["data"][0]["id"]
    async with serving(tmp_path) as service:
        await service.post(prompt="after")
        async with service.client.get(f"{REQUESTS}/{before}") as response:
            assert response.status == 404
        async with service.client.get(REQUESTS) as response:
            (after,) = (await response.json())["data"]
    assert after["id"] != before


async def test_nothing_is_kept_where_it_is_off_but_watchers_are_told(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, inspector={"requests": 0}) as service,
        watching(service) as feed,
    ):
        await service.post(prompt="hi")
        assert (await feed.until("request"))["path"] == PROMPT
        async with service.client.get(REQUESTS) as response:
            assert (await response.json())["data"] == []


async def test_no_bodies_are_kept_where_no_content_is_stored(tmp_path: Path) -> None:
    async with serving(tmp_path, session={"store_content": False}) as service:
        await service.post(prompt="secret plans")
        async with service.client.get(REQUESTS) as response:
            text = await response.text()
    assert "secret plans" not in text
    assert PROMPT in text
