"""Stored responses: continued, listed, deleted, run in the background, kept over a restart."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from clinvkd.api.openai.responses import BACKGROUND

from ...daemon import daemon
from .talk import OpenAI, assistant, error_of, serving, user
from .test_responses import PATH, text_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def missing(openai: OpenAI, name: str) -> None:
    for method, path in (
        ("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel"),
    ):  # fmt: skip
        answer = await openai.request(method, f"{PATH}/{name}{path}")
        error = error_of(answer)
        assert (answer.status, error["type"]) == (404, "invalid_request_error"), answer.text


async def continues(openai: OpenAI, name: str, text: str = "[[history]]", **body: Any) -> Any:
    """What the agent holds when the response of that name is continued."""
    return json.loads(text_of(await openai.response(text, previous_response_id=name, **body)))


async def unanswered(openai: OpenAI, name: str | None, **body: Any) -> dict[str, Any]:
    return await openai.refused(
        PATH, "previous_response_id", input="x", previous_response_id=name, **body
    )


async def test_what_is_stored_can_be_had_again(openai: OpenAI) -> None:
    response = await openai.response("one two", metadata={"a": "b"})
    assert await openai.get(f"{PATH}/{response['id']}") == response
    streamed = await openai.request("GET", f"{PATH}/{response['id']}?stream=true")
    assert streamed.status == 400
    assert error_of(streamed)["param"] == "stream"


async def test_what_is_not_stored_cannot(openai: OpenAI) -> None:
    response = await openai.response("one two", store=False)
    await missing(openai, response["id"])
    error = await unanswered(openai, response["id"])
    assert error["code"] == "previous_response_not_found"


@pytest.mark.parametrize("name", ["resp_unknown", "x" * 5_000, "%00", "%ED%A0%80", "é"])
async def test_ids_that_are_none(openai: OpenAI, name: str) -> None:
    await missing(openai, name)
    error = await unanswered(openai, name)
    assert error["code"] == "previous_response_not_found"
    assert len(error["message"]) < 200


async def test_deletion(openai: OpenAI) -> None:
    response = await openai.response("one two")
    answer = await openai.request("DELETE", f"{PATH}/{response['id']}")
    assert answer.json == {"id": response["id"], "object": "response", "deleted": True}
    await missing(openai, response["id"])
    await unanswered(openai, response["id"])


async def test_a_response_continues_the_parked_conversation(openai: OpenAI) -> None:
    before = openai.ways().get("continue", 0)
    name = (await openai.response("turn 1"))["id"]
    for number in range(2, 6):
        response = await openai.response(f"turn {number}", previous_response_id=name)
        assert response["previous_response_id"] == name
        name = response["id"]
    assert openai.ways()["continue"] - before == 4
    told = await continues(openai, name)
    assert openai.ways()["continue"] - before == 5
    texts = ["".join(part["text"] for part in m["content"]) for m in told["history"]]
    assert texts == [f"turn {number}" for number in range(1, 6) for _ in "ab"]


async def test_a_branch_is_seeded(openai: OpenAI) -> None:
    first = (await openai.response("root"))["id"]
    for _ in "ab":
        told = await continues(openai, first)
        assert [m["content"][0]["text"] for m in told["history"]] == ["root", "root"]


async def test_streamed_responses_continue_too(openai: OpenAI) -> None:
    answer = await openai.post(PATH, input="streamed", stream=True)
    last = json.loads(answer.text.rpartition("data: ")[2])
    before = openai.ways().get("continue", 0)
    told = await continues(openai, last["response"]["id"])
    assert openai.ways()["continue"] == before + 1
    assert len(told["history"]) == 2


async def test_instructions_hold_for_one_response_and_system_items_for_all(
    openai: OpenAI,
) -> None:
    given = [{"role": "system", "content": "of the input"}, user("one")]
    first = (await openai.response(given, instructions="of this one"))["id"]
    assert (await continues(openai, first))["system"] == "of the input"
    again = await openai.response("two", previous_response_id=first, instructions="another")
    assert (await continues(openai, again["id"]))["system"] == "of the input"
    told = await continues(openai, again["id"], instructions="third")
    assert told["system"] == "third\n\nof the input"
    plain = (await openai.response("one", instructions="only here"))["id"]
    assert (await continues(openai, plain))["system"] is None


async def test_a_system_item_in_the_middle_stays_there(openai: OpenAI) -> None:
    first = (await openai.response("one"))["id"]
    before = openai.ways().get("continue", 0)
    items = [{"role": "system", "content": "from now on"}, user("[[history]] and ")]
    response = await openai.response(items, previous_response_id=first)
    assert json.loads(text_of(response))["system"] is None
    assert openai.ways()["continue"] == before + 1


async def test_a_call_of_an_earlier_response_has_its_result_already(openai: OpenAI) -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c1", "output": "sunny"}
    first = (await openai.response([user("?"), call, output]))["id"]
    await openai.refused(PATH, "input", input=[output], previous_response_id=first)
    told = await continues(openai, first)
    assert "sunny" in json.dumps(told["history"][2])


async def test_a_configured_system_prompt_is_not_carried_over(tmp_path: Path) -> None:
    backends = {"echo": {"system_prompt": "house rules"}}
    async with serving(tmp_path, backends=backends) as openai:
        first = (await openai.response("one"))["id"]
        assert (await continues(openai, first))["system"] == "house rules"
        assert (await continues(openai, first, instructions="mine"))["system"] == "mine"


async def test_pages_of_the_input(openai: OpenAI) -> None:
    given = [
        {"role": "developer", "content": "d"},
        user("one"),
        {"id": "msg_mine", **assistant("two")},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}", "id": None},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        user([{"type": "input_text", "text": "three"}]),
    ]
    name = (await openai.response(given))["id"]
    path = f"{PATH}/{name}/input_items"
    listed = await openai.get(f"{path}?order=asc")
    items = listed["data"]
    assert set(listed) == {"object", "data", "first_id", "last_id", "has_more"}
    assert (listed["object"], listed["has_more"]) == ("list", False)
    assert [item["type"] for item in items] == [
        "message", "message", "message", "function_call", "function_call_output", "message",
    ]  # fmt: skip
    assert items[2]["id"] == "msg_mine"
    assert items[1]["content"] == [{"type": "input_text", "text": "one"}]
    assert items[2]["content"][0]["type"] == "output_text"
    ids = [item["id"] for item in items]
    assert all(isinstance(each, str) for each in ids)
    assert len(set(ids)) == 6
    assert [item["id"] for item in (await openai.get(path))["data"]] == ids[::-1]
    page = await openai.get(f"{path}?order=asc&limit=4&after={ids[0]}")
    assert [item["id"] for item in page["data"]] == ids[1:5]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (ids[1], ids[4], True)
    beyond = await openai.get(f"{path}?after=nobody")
    assert (beyond["data"], beyond["has_more"], beyond["first_id"]) == ([], False, None)
    for limit in ("0", "101", "x", "-1", "1.5", ""):
        answer = await openai.request("GET", f"{path}?limit={limit}")
        assert (answer.status, error_of(answer)["param"]) == (400, "limit")


# In the background.


async def test_a_background_response(openai: OpenAI) -> None:
    response = await openai.response("one two", background=True)
    assert (response["status"], response["output"]) == ("queued", [])
    ended = await openai.ended(response["id"])
    assert (ended["status"], text_of(ended), ended["background"]) == ("completed", "one two", True)
    told = await continues(openai, response["id"])
    assert [m["content"][0]["text"] for m in told["history"]] == ["one two", "one two"]
    after = await openai.request("POST", f"{PATH}/{response['id']}/cancel")
    assert after.json == ended


async def test_a_background_response_that_fails(openai: OpenAI) -> None:
    response = await openai.response("[[fail no luck]]", background=True)
    ended = await openai.ended(response["id"])
    assert ended["status"] == "failed"
    assert ended["error"]["code"] == "server_error"
    assert "no luck" in ended["error"]["message"]
    error = await unanswered(openai, response["id"])
    assert "failed" in error["message"]


async def test_cancelling(openai: OpenAI) -> None:
    response = await openai.response("[[silent 60]]x", background=True)
    running = await unanswered(openai, response["id"])
    assert "not completed" in running["message"]
    for _ in "ab":
        answer = await openai.request("POST", f"{PATH}/{response['id']}/cancel")
        assert (answer.status, answer.json["status"]) == (200, "cancelled")
    assert (await openai.get(f"{PATH}/{response['id']}"))["status"] == "cancelled"
    assert "cancelled" in (await unanswered(openai, response["id"]))["message"]
    await openai.service.idle()


async def test_cancelling_at_once_and_by_many(openai: OpenAI) -> None:
    response = await openai.response("[[silent 60]]x", background=True)
    path = f"{PATH}/{response['id']}/cancel"
    answers = await asyncio.gather(*(openai.request("POST", path) for _ in range(5)))
    assert [answer.json["status"] for answer in answers] == ["cancelled"] * 5


async def test_only_a_background_response_is_cancelled(openai: OpenAI) -> None:
    response = await openai.response("x")
    answer = await openai.request("POST", f"{PATH}/{response['id']}/cancel")
    assert (answer.status, error_of(answer)["param"]) == (400, "response_id")


async def test_deletion_of_a_running_one(openai: OpenAI) -> None:
    response = await openai.response("[[silent 60]]x", background=True)
    answer = await openai.request("DELETE", f"{PATH}/{response['id']}")
    assert answer.json["deleted"] is True
    await missing(openai, response["id"])
    await openai.service.idle()


async def test_what_runs_when_the_daemon_ends_has_failed(tmp_path: Path) -> None:
    async with serving(tmp_path) as openai:
        response = await openai.response("[[silent 60]]x", background=True)
        await openai.service.client.app[BACKGROUND].aclose()
        ended = await openai.get(f"{PATH}/{response['id']}")
        assert ended["status"] == "failed"
        assert "daemon stopped" in ended["error"]["message"]


# Over a restart, and without a store.


async def test_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path, server={"shutdown_grace_secs": 0.1}) as openai:
        first = await openai.response([{"role": "system", "content": "rules"}, user("one")])
        running = await openai.response("[[silent 60]]x", background=True, metadata={"kept": "yes"})
    async with serving(tmp_path) as openai:
        assert await openai.get(f"{PATH}/{first['id']}") == first
        told = await continues(openai, first["id"])
        assert told["system"] == "rules"
        assert [m["content"][0]["text"] for m in told["history"]] == ["one", "one"]
        assert openai.ways().get("continue", 0) == 0
        lost = await openai.get(f"{PATH}/{running['id']}")
        assert lost["status"] == "failed"
        assert lost["error"]["code"] == "server_error"
        assert lost["metadata"] == {"kept": "yes"}
        await unanswered(openai, running["id"])


async def test_a_daemon_that_was_killed(tmp_path: Path) -> None:
    async with daemon(tmp_path) as first, ClientSession(f"{first.url}/") as client:
        body = {"model": "echo", "input": "[[silent 60]]x", "background": True}
        async with client.post("openai/v1/responses", json=body) as answer:
            name = (await answer.json())["id"]
        first.signal(signal.SIGKILL)
        await first.ended()
    async with daemon(tmp_path) as second, ClientSession(f"{second.url}/") as client:
        await second.logged("store ready")
        async with client.get(f"openai/v1/responses/{name}") as answer:
            lost = await answer.json()
    assert (lost["id"], lost["status"], lost["output"]) == (name, "failed", [])
    assert "daemon ended" in lost["error"]["message"]


async def test_another_model_may_continue(tmp_path: Path) -> None:
    async with serving(tmp_path, models={"aliases": {"other": "echo/echo"}}) as openai:
        first = (await openai.response("one"))["id"]
        told = await continues(openai, first, model="other")
        assert [m["role"] for m in told["history"]] == ["user", "assistant"]


async def test_without_a_store(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".clinvk").write_text("a file where the directory of the store belongs")
    async with serving(tmp_path) as openai:
        turns = openai.service.turns()
        for more in ({}, {"stream": True}, {"background": True}, {"previous_response_id": "r"}):
            answer = await openai.post(PATH, input="x", **more)
            error = error_of(answer)
            assert (answer.status, error["type"], error["code"]) == (
                503, "server_error", "store_unavailable",
            )  # fmt: skip
        assert (await openai.request("GET", f"{PATH}/resp_1")).status == 503
        assert openai.service.turns() == turns
        assert text_of(await openai.response("one", store=False)) == "one"
        assert await openai.text("two") == "two"
