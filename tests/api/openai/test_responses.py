"""Responses: inputs, what is honoured, and the object."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .talk import PNG, OpenAI, error_of, user

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/responses"
MEMBERS = {
    "id", "object", "created_at", "status", "background", "completed_at", "error",
    "incomplete_details", "instructions", "max_output_tokens", "max_tool_calls", "metadata",
    "model", "output", "parallel_tool_calls", "previous_response_id", "prompt_cache_key",
    "reasoning", "safety_identifier", "service_tier", "store", "temperature", "text",
    "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "usage", "user",
}  # fmt: skip


def text_of(response: Any) -> str:
    """The text of the only message."""
    (message,) = [item for item in response["output"] if item["type"] == "message"]
    (part,) = message["content"]
    assert part == {
        "type": "output_text",
        "text": part["text"],
        "annotations": [],
        "logprobs": [],
    }
    return str(part["text"])


async def held(openai: OpenAI, given: list[Any], **body: Any) -> Any:
    """What the agent holds before the last message."""
    return json.loads(text_of(await openai.response([*given, user("[[history]]")], **body)))


async def test_a_response(openai: OpenAI) -> None:
    response = await openai.response("one two")
    assert set(response) == MEMBERS
    assert response["id"].startswith("resp_")
    assert (response["object"], response["status"], response["model"]) == (
        "response", "completed", "echo",
    )  # fmt: skip
    assert response["completed_at"] >= response["created_at"]
    assert text_of(response) == "one two"
    (message,) = response["output"]
    assert message["id"].startswith("msg_")
    assert (message["role"], message["status"]) == ("assistant", "completed")
    assert response["usage"] == {
        "input_tokens": 2,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 4,
    }


async def test_the_object_repeats_what_was_asked(openai: OpenAI) -> None:
    asked = {
        "instructions": "be brief",
        "metadata": {"a": "b"},
        "max_output_tokens": 99,
        "temperature": 0.5,
        "top_p": 0.9,
        "truncation": "auto",
        "user": "u",
        "store": False,
    }
    response = await openai.response("x", reasoning={"effort": "low"}, **asked)
    assert {name: response[name] for name in asked} == asked
    assert response["reasoning"] == {"effort": "low", "summary": None}
    form = {"type": "json_object"}
    response = await openai.response("{}", text={"format": form, "verbosity": "low"})
    assert response["text"] == {"format": form, "verbosity": "low"}


async def test_items_keep_roles_and_order(openai: OpenAI) -> None:
    given = [
        {"role": "developer", "content": "second"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "one"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "two"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": None},
        {"role": "system", "content": "from now on"},
        {"role": "assistant", "content": "three"},
    ]
    told = await held(openai, given, instructions="first")
    assert told["system"] == "first\n\nsecond"
    texts = [(m["role"], "".join(p["text"] for p in m["content"])) for m in told["history"]]
    assert [texts[0], texts[1], texts[3]] == [
        ("user", "one"), ("assistant", "two"), ("assistant", "three"),
    ]  # fmt: skip
    assert texts[2][0] == "user"
    assert "from now on" in texts[2][1]


async def test_calls_results_and_images(openai: OpenAI) -> None:
    call = {
        "type": "function_call",
        "call_id": "c1",
        "name": "weather",
        "arguments": '{"a":"Rome"}',
    }
    output = {"type": "function_call_output", "call_id": "c1", "output": "sunny"}
    told = await held(openai, [user("?"), call, output, {"role": "assistant", "content": "ok"}])
    assert "Rome" in json.dumps(told["history"][1])
    assert "sunny" in json.dumps(told["history"][2])
    response = await openai.response([user("?"), call, output])
    assert "sunny" in text_of(response)
    parts = [
        {"type": "input_text", "text": "[[image]]"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
    ]
    assert json.loads(text_of(await openai.response([user(parts)])))[0]["mediaType"] == "image/png"


@pytest.mark.parametrize(
    ("given", "param", "says"),
    [
        (None, "input", "no message"),
        ("", "input", "no message"),
        ("  ", "input", "empty"),
        ([], "input", "no message"),
        (5, "input", ""),
        ([5], "input[0]", ""),
        ([{"role": "robot", "content": "x"}], "input[0].role", ""),
        ([{"role": "system", "content": "x"}], "input", "no message"),
        ([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], "input", ""),
        ([{"content": "x"}], "input[0]", "role or type is required"),
        ([{"type": "message", "content": "x"}], "input[0]", "role is required"),
        ([{"type": "item_reference"}], "input[0].id", "required"),
        ([{"type": "web_search_call"}], "input[0]", "'web_search_call' are not supported"),
        (
            [user("?"), {"type": "function_call_output", "call_id": "c9", "output": "x"}],
            "input",
            "No tool call found",
        ),
        (
            [user([{"type": "input_file", "file_id": "f"}])],
            "input[0].content[0]",
            "no stored files",
        ),
        ([user([{"type": "input_audio"}])], "input[0].content[0]", "data and format"),
        ([user([{"type": "input_image", "file_id": "f"}])], "input[0].content[0]", "data URL"),
        (
            [user([{"type": "input_image", "image_url": "data:image/png;base64,eA=="}])],
            "input[0].content[0].image_url",
            "not an image",
        ),
        (
            [user([{"type": "input_image", "image_url": "http://127.0.0.1/x.png"}])],
            "input[0].content[0].image_url",
            "media.fetch_urls",
        ),
        ([user([{"text": "x"}])], "input[0].content[0]", "type is required"),
        ([user([{"type": 5, "text": "x"}])], "input[0].content[0]", "not supported"),
        (
            [{"role": "system", "content": [{"type": "input_image", "image_url": PNG}]}],
            "input[0].content[0].image_url",
            "data URL",
        ),
    ],
)
async def test_an_input_that_is_none(openai: OpenAI, given: Any, param: str, says: str) -> None:
    error = await openai.refused(PATH, param, input=given)
    assert says in error["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "function", "name": "f g"}]}, "tools[0].name"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"background": True, "store": False}, "background"),
        ({"background": True, "stream": True}, "stream"),
        ({"stream": 1}, "stream"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"metadata": {str(i): "x" for i in range(17)}}, "metadata"),
        ({"metadata": {"k" * 65: "x"}}, "metadata." + "k" * 65),
        ({"metadata": {"k": "x" * 513}}, "metadata.k"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        (
            {"text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": 5}}}},
            "text.format.schema",
        ),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {}}}, "text.format.type"),
        ({"text": {"verbosity": "loud"}}, "text.verbosity"),
        ({"reasoning": {"summary": "yes"}}, "reasoning.summary"),
        ({"truncation": "some"}, "truncation"),
        ({"include": "all"}, "include"),
        ({"previous_response_id": 5}, "previous_response_id"),
        ({"instructions": ["x"]}, "instructions"),
    ],
)
async def test_a_wrong_value_is_named(openai: OpenAI, fields: dict[str, Any], param: str) -> None:
    turns = openai.service.turns()
    await openai.refused(PATH, param, **{"input": "x", **fields})
    assert openai.service.turns() == turns


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({"include": ["reasoning.encrypted_content"]}, "include"),
        ({"include": []}, None),
        ({"truncation": "auto"}, "truncation"),
        ({"truncation": "disabled"}, None),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"reasoning": {"effort": "low"}}, "reasoning.effort"),
        ({"prompt_cache_key": "k", "conversation": "conv_1"}, "prompt_cache_key, conversation"),
        ({"parallel_tool_calls": True, "tool_choice": "auto", "service_tier": "auto"}, None),
        ({"metadata": {"a": "b"}, "store": True, "user": "u"}, None),
    ],
)
async def test_what_is_not_honoured_is_named(
    openai: OpenAI, fields: dict[str, Any], ignored: str | None
) -> None:
    answer = await openai.post(PATH, input="x", **fields)
    assert answer.status == 200, answer.text
    assert answer.headers.get("X-Clinvk-Ignored") == ignored


@pytest.mark.parametrize("model", ["echo", "plain"])
async def test_a_limit_makes_it_incomplete(openai: OpenAI, model: str) -> None:
    response = await openai.response("one two three four five", model=model, max_output_tokens=2)
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete"
    assert "one two three four five".startswith(text_of(response))
    assert response["completed_at"] is None


async def test_reasoning_is_an_item_when_its_summary_is_asked_for(openai: OpenAI) -> None:
    response = await openai.response("[[think so so]] done", reasoning={"summary": "auto"})
    reasoning, message = response["output"]
    assert reasoning["id"].startswith("rs_")
    assert reasoning["type"] == "reasoning"
    assert reasoning["summary"] == [{"type": "summary_text", "text": "so so"}]
    assert message["type"] == "message"
    assert response["usage"]["output_tokens_details"] == {"reasoning_tokens": 2}
    for more in ({}, {"reasoning": {"effort": "high"}}):
        response = await openai.response("[[think so so]] done", **more)
        assert [item["type"] for item in response["output"]] == ["message"]


async def test_failures_have_their_status(openai: OpenAI) -> None:
    for streamed in (False, True):
        answer = await openai.post(PATH, input="[[fail no luck]]", stream=streamed)
        error = error_of(answer)
        assert (answer.status, error["code"]) == (500, "backend_error")
        answer = await openai.post(PATH, input="x", model="claude", stream=streamed)
        assert (answer.status, error_of(answer)["code"]) == (503, "backend_unavailable")
