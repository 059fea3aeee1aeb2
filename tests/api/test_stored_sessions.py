"""Stored sessions over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .service import Answer, Service, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

SESSIONS = "/api/v1/sessions"


async def call(service: Service, method: str, path: str, body: Any = None) -> Answer:
    async with service.client.request(method, path, json=body) as response:
        return await Answer.of(response)


async def get(service: Service, path: str) -> Any:
    answer = await call(service, "GET", path)
    assert answer.status == 200, answer.text
    return answer.json


async def made(service: Service, prompt: str, **fields: Any) -> str:
    answer = await service.post(prompt=prompt, **fields)
    return str(answer.json["session_id"])


async def test_a_session_tells_what_it_is(service: Service) -> None:
    name = await made(service, "what it is", metadata={"ticket": "7"})
    found = await get(service, f"{SESSIONS}/{name}")
    assert found.pop("created_at") <= found.pop("last_used")
    assert found.pop("backend_session_id").startswith("echo-")
    assert found == {
        "id": name,
        "backend": "echo",
        "status": "completed",
        "title": "what it is",
        "turn_count": 1,
        "message_count": 2,
        "token_usage": {"input_tokens": 3, "output_tokens": 3},
        "metadata": {"ticket": "7"},
    }


async def test_the_history_is_there_if_asked_for(service: Service) -> None:
    name = await made(service, "first")
    await service.text("second", session_id=name)
    found = await get(service, f"{SESSIONS}/{name}?include=messages")
    assert [(m["role"], m["content"]) for m in found["messages"]] == [
        (role, [{"type": "text", "text": text}])
        for text in ("first", "second")
        for role in ("user", "assistant")
    ]
    assert found["turn_count"] == 2


async def test_a_unique_beginning_of_an_id_is_enough_to_read(service: Service) -> None:
    name = await made(service, "prefix")
    assert (await get(service, f"{SESSIONS}/{name[:16]}"))["id"] == name
    for method, body in (("DELETE", None), ("PATCH", {"title": "x"})):
        answer = await call(service, method, f"{SESSIONS}/{name[:16]}", body)
        assert answer.status == 404
    assert (await call(service, "POST", f"{SESSIONS}/{name[:16]}/fork")).status == 404


async def test_an_ambiguous_beginning_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        for number in range(17):
            await made(service, f"session {number}")
        names = [s["id"] for s in (await get(service, SESSIONS))["sessions"]]
        first = next(n[0] for n in names if sum(m[0] == n[0] for m in names) > 1)
        answer = await call(service, "GET", f"{SESSIONS}/{first}")
        assert (answer.status, answer.error["code"]) == (400, "invalid_request")


async def test_a_page_is_what_was_asked_for(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        names = [
            await made(service, f"number {n} of {'odd' if n % 2 else 'even'}") for n in range(5)
        ]
        await call(service, "PATCH", f"{SESSIONS}/{names[0]}", {"tags": ["special", "two"]})
        page = await get(service, SESSIONS)
        assert [s["id"] for s in page["sessions"]] == names[::-1]
        assert (page["total"], page["limit"], page["offset"]) == (5, 100, 0)
        page = await get(service, f"{SESSIONS}?limit=2&offset=1")
        assert [s["id"] for s in page["sessions"]] == names[3:1:-1]
        assert page["total"] == 5
        for query, wanted in (
            ("q=odd", [names[3], names[1]]),
            ("q=number 2", [names[2]]),
            ("q=nowhere", []),
            ("tag=special", [names[0]]),
            ("tag=spec", []),
            ("backend=echo&q=number 4", [names[4]]),
            ("backend=claude", []),
            ("status=error", []),
            ("workdir=/nowhere", []),
        ):
            page = await get(service, f"{SESSIONS}?{query}")
            assert [s["id"] for s in page["sessions"]] == wanted, query


@pytest.mark.parametrize(
    ("query", "param"),
    [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("offset=-1", "offset"),
     ("status=done", "status"), ("statsu=error", "statsu")],
)  # fmt: skip
async def test_a_wrong_filter_is_named(service: Service, query: str, param: str) -> None:
    answer = await call(service, "GET", f"{SESSIONS}?{query}")
    assert (answer.status, answer.error["param"]) == (400, param)


async def test_title_and_tags_change(service: Service) -> None:
    name = await made(service, "untitled")
    answer = await call(service, "PATCH", f"{SESSIONS}/{name}", {"title": "T", "tags": ["a", "b"]})
    assert (answer.json["title"], answer.json["tags"]) == ("T", ["a", "b"])
    answer = await call(service, "PATCH", f"{SESSIONS}/{name}", {"tags": []})
    assert answer.json["title"] == "T"
    assert "tags" not in answer.json
    for body, param in (({}, "title"), ({"tags": [""]}, "tags[0]"), ({"tgas": []}, "tgas")):
        answer = await call(service, "PATCH", f"{SESSIONS}/{name}", body)
        assert (answer.status, answer.error["param"]) == (400, param)


async def test_the_limits_of_title_and_tags_are_described(service: Service) -> None:
    name = await made(service, "limits")
    described = (await get(service, "/openapi.json"))["components"]["schemas"]["NativeSessionPatch"]
    title = described["properties"]["title"]["anyOf"][0]
    tags = described["properties"]["tags"]["anyOf"][0]
    longest = {
        "title": "x" * title["maxLength"],
        "tags": [f"{n:0{tags['items']['maxLength']}}" for n in range(tags["maxItems"])],
    }
    assert (await call(service, "PATCH", f"{SESSIONS}/{name}", longest)).status == 200
    for body, param in (
        ({"title": longest["title"] + "x"}, "title"),
        ({"tags": [*longest["tags"], "more"]}, "tags"),
        ({"tags": [longest["tags"][0] + "x"]}, "tags[0]"),
    ):
        answer = await call(service, "PATCH", f"{SESSIONS}/{name}", body)
        assert (answer.status, answer.error["param"]) == (400, param)


async def test_a_directory_is_found_however_it_is_written(service: Service, tmp_path: Path) -> None:
    name = await made(service, "somewhere", workdir=str(tmp_path))
    for written in (f"{tmp_path}", f"{tmp_path}/", f"{tmp_path.parent}/./{tmp_path.name}"):
        page = await get(service, f"{SESSIONS}?workdir={written}")
        assert [s["id"] for s in page["sessions"]] == [name], written


async def test_a_deleted_session_is_gone(service: Service) -> None:
    name = await made(service, "to be deleted")
    answer = await call(service, "DELETE", f"{SESSIONS}/{name}")
    assert answer.json == {"deleted": True, "id": name}
    assert (await call(service, "GET", f"{SESSIONS}/{name}")).status == 404
    assert (await call(service, "DELETE", f"{SESSIONS}/{name}")).status == 404
    answer = await service.post(prompt="go on", session_id=name)
    assert (answer.status, answer.error["param"]) == (404, "session_id")


async def test_a_fork_goes_its_own_way(service: Service) -> None:
    name = await made(service, "common")
    answer = await call(service, "POST", f"{SESSIONS}/{name}/fork")
    fork = answer.json
    assert (answer.status, fork["parent_id"]) == (201, name)
    await service.text("only in the fork", session_id=fork["id"])
    assert "only in the fork" not in await service.text("[[history]]", session_id=name)
    assert "common" in await service.text("[[history]]", session_id=fork["id"])


async def test_an_ephemeral_prompt_leaves_no_session(service: Service) -> None:
    before = (await get(service, SESSIONS))["total"]
    await service.post(prompt="secret", ephemeral=True)
    assert (await get(service, SESSIONS))["total"] == before


async def test_all_dialects_share_one_store(service: Service) -> None:
    chat = {"model": "echo", "messages": [{"role": "user", "content": "by chat dialect"}]}
    messages = {**chat, "max_tokens": 100}
    messages["messages"] = [{"role": "user", "content": "by messages dialect"}]
    assert (await service.send("/openai/v1/chat/completions", chat)).status == 200
    assert (await service.send("/anthropic/v1/messages", messages)).status == 200
    page: Any = None
    for text in ("by chat dialect", "by messages dialect"):
        page = await get(service, f"{SESSIONS}?q={text}")
        assert page["total"] == 1
    name = page["sessions"][0]["id"]
    assert "by messages dialect" in await service.text("[[history]]", session_id=name)


async def test_sessions_survive_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        name = await made(service, "before the restart")
    async with serving(tmp_path) as service:
        assert "before the restart" in await service.text("[[history]]", session_id=name)
