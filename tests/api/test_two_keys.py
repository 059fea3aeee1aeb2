"""What one API key made is not there for another, whatever the route."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from clinvkd.keys import Key, KeyRing, Scopes

from .service import Answer, Service, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

ONE, TWO, ADMIN = ("clinvk_" + letter * 40 for letter in "abc")
MAX_TOKENS = 10


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    everything = replace(Key.of(ADMIN, "admin"), scopes=Scopes(every_session=True))
    ring = KeyRing([Key.of(ONE, "one"), Key.of(TWO, "two"), everything])
    folder: Path = tmp_path_factory.mktemp("keys")
    async with serving(folder, ring) as running:
        yield running


async def call(service: Service, key: str, method: str, path: str, body: Any = None) -> Answer:
    headers = {"Authorization": f"Bearer {key}"}
    async with service.client.request(method, path, json=body, headers=headers) as response:
        return await Answer.of(response)


async def prompt(service: Service, key: str, text: str, **fields: Any) -> Answer:
    body = {"backend": "echo", "prompt": text, **fields}
    return await call(service, key, "POST", "/api/v1/prompt", body)


async def test_sessions_are_their_keys(service: Service) -> None:
    name = (await prompt(service, ONE, "mine alone")).json["session_id"]
    place = f"/api/v1/sessions/{name}"
    for method, path, body in (
        ("GET", place, None),
        ("GET", place[:-8], None),
        ("PATCH", place, {"title": "stolen"}),
        ("DELETE", place, None),
        ("POST", f"{place}/fork", None),
    ):
        assert (await call(service, TWO, method, path, body)).status == 404
    assert (await call(service, TWO, "GET", "/api/v1/sessions?q=mine")).json["total"] == 0
    assert (await prompt(service, TWO, "go on", session_id=name)).status == 404
    found = (await call(service, ADMIN, "GET", place)).json
    assert (found["key"], found["title"]) == ("one", "mine alone")
    assert (await call(service, ADMIN, "GET", "/api/v1/sessions?q=mine")).json["total"] == 1
    assert "mine alone" in (await prompt(service, ONE, "[[history]]", session_id=name)).text


async def test_who_sees_every_session_goes_on_with_it_and_it_stays_its_owners(
    service: Service,
) -> None:
    name = (await prompt(service, ONE, "to be continued")).json["session_id"]
    place = f"/api/v1/sessions/{name}"
    for text in ("[[history]] by the admin", "[[fail broken]]"):
        answer = await prompt(service, ADMIN, text, session_id=name)
        assert answer.status == 500 or "to be continued" in answer.json["output"]
    found = (await call(service, ONE, "GET", place)).json
    assert (found["key"], found["turn_count"], found["status"]) == ("one", 2, "error")
    assert "by the admin" in (await prompt(service, ONE, "[[history]]", session_id=name)).text
    fork = (await call(service, ADMIN, "POST", f"{place}/fork")).json
    assert fork["key"] == "admin"
    assert (await prompt(service, ONE, "x", session_id=fork["id"])).status == 404
    assert (await prompt(service, ADMIN, "x", session_id=fork["id"])).status == 200


async def test_jobs_are_their_keys(service: Service) -> None:
    job = (await prompt(service, ONE, "in the background", background=True)).json["id"]
    place = f"/api/v1/jobs/{job}"
    assert (await call(service, ONE, "GET", f"{place}/events")).status == 200
    for method, path in (
        ("GET", place), ("GET", f"{place}/events"), ("DELETE", place), ("POST", f"{place}/resume"),
        ("POST", f"{place}/approvals/x"),
    ):  # fmt: skip
        body = {"decision": "allow"} if "approvals" in path else None
        assert (await call(service, TWO, method, path, body)).status == 404, path
    assert (await call(service, TWO, "GET", "/api/v1/jobs")).json["total"] == 0
    assert (await call(service, ADMIN, "GET", place)).json["key"] == "one"
    assert (await call(service, ONE, "GET", place)).json["status"] == "completed"


async def test_stored_responses_are_their_keys(service: Service) -> None:
    url = "/openai/v1/responses"
    asked = {"model": "echo", "input": "remember this"}
    name = (await call(service, ONE, "POST", url, asked)).json["id"]
    answer = await call(service, TWO, "POST", url, {**asked, "previous_response_id": name})
    assert answer.status in (400, 404)
    assert answer.json["error"]["param"] == "previous_response_id"
    for method, path in (
        ("GET", f"{url}/{name}"),
        ("GET", f"{url}/{name}/input_items"),
        ("POST", f"{url}/{name}/cancel"),
        ("DELETE", f"{url}/{name}"),
    ):
        assert (await call(service, TWO, method, path)).status == 404, path
    assert (await call(service, ONE, "GET", f"{url}/{name}")).status == 200
    further = await call(service, ADMIN, "POST", url, {**asked, "previous_response_id": name})
    assert further.status == 200, further.text
    for path in (f"{url}/{name}", f"{url}/{name}/input_items"):
        assert (await call(service, ADMIN, "GET", path)).status == 200
    assert (await call(service, ONE, "GET", f"{url}/{further.json['id']}")).status == 404
    assert (await call(service, ADMIN, "DELETE", f"{url}/{name}")).status == 200
    assert (await call(service, ONE, "GET", f"{url}/{name}")).status == 404


async def test_threads_are_their_keys(service: Service) -> None:
    url = "/anthropic/v1/messages"
    said = {"role": "user", "content": "begin"}
    body = {"model": "echo", "max_tokens": MAX_TOKENS, "messages": [said]}
    begun = await call(service, ONE, "POST", url, {**body, "thread": {"type": "create"}})
    thread = {"type": "continue", "previous_message_id": begun.json["id"]}
    other = await call(service, TWO, "POST", url, {**body, "thread": thread})
    assert other.status == 404, other.text
    for key in (ONE, ADMIN):
        assert (await call(service, key, "POST", url, {**body, "thread": thread})).status == 200


async def test_idempotency_keys_are_their_keys(service: Service) -> None:
    for key in (ONE, TWO):
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "the-same"}
        body = {"backend": "echo", "prompt": f"by {key[-1]}"}
        answer = await service.send("/api/v1/prompt", body, headers)
        assert answer.status == 200, answer.text
        assert answer.json["output"] == f"by {key[-1]}"
        assert "Idempotency-Replayed" not in answer.headers
