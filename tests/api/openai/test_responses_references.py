"""Items of earlier responses, referred to by their ids."""

from __future__ import annotations

from typing import Any

import pytest

from .talk import OpenAI, error_of, user
from .test_responses import PATH, text_of
from .test_responses_stream import events_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object"}}


def reference(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "item_reference", "id": item["id"]}


async def test_an_answer_can_be_referred_to(openai: OpenAI) -> None:
    question = user("remember this")
    first = await openai.response([question])
    [answer] = first["output"]
    second = await openai.response([question, reference(answer), user("[[history]]")])
    whole = await openai.response([question, answer, user("[[history]]")])
    assert text_of(second) == text_of(whole)
    assert "remember this" in text_of(second)
    page = await openai.get(f"{PATH}/{second['id']}/input_items?order=asc")
    assert [item["role"] for item in page["data"]] == ["user", "assistant", "user"]
    assert page["data"][1]["id"] == answer["id"]


async def test_calls_and_texts_of_one_response_can_be_referred_to(openai: OpenAI) -> None:
    question = user('look [[call weather {"city": "Rome"}]]')
    first = await openai.response([question], tools=[TOOL])
    text, call = first["output"]
    assert text["id"] != call["id"]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
    given = [question, reference(text), reference(call), result]
    assert "sunny" in text_of(await openai.response(given, tools=[TOOL]))


async def test_a_streamed_answer_can_be_referred_to(openai: OpenAI) -> None:
    events = await events_of(openai, input="x")
    [item] = events[-1]["response"]["output"]
    told = {event["item_id"] for event in events if "item_id" in event}
    assert told == {item["id"]}
    await openai.response([user("a"), reference(item), user("b")])


@pytest.mark.parametrize("stored", [True, False])
async def test_what_is_not_kept_cannot_be_referred_to(openai: OpenAI, stored: bool) -> None:
    first = await openai.response("a", store=stored)
    [item] = first["output"]
    missing = item["id"] + "9" if stored else item["id"]
    for name in (missing, "msg_1", "x"):
        given = [user("a"), {"type": "item_reference", "id": name}, user("b")]
        answer = await openai.post(PATH, input=given)
        error = error_of(answer)
        assert (answer.status, error["param"]) == (404, "input[1]"), answer.text
        assert "not found" in error["message"]
