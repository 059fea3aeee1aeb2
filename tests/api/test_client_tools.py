"""Tools of callers through every dialect, over echo: declared, called, answered, and refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from .service import SSE, Answer, Service, serving

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
CALL = '[[call weather {"city": "Rome", "days": 2}]]'
ARGUMENTS = {"city": "Rome", "days": 2}
FUNCTION = {"name": "weather", "description": "Tells it.", "parameters": SCHEMA}
CHAT_TOOL = {"type": "function", "function": FUNCTION}
RESPONSES_TOOL = {"type": "function", **FUNCTION}
NATIVE_TOOL = {"name": "weather", "description": "Tells it.", "input_schema": SCHEMA}


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(tmp_path) as running:
        yield running


async def post(service: Service, path: str, headers: Any = None, **body: Any) -> Answer:
    async with service.client.post(path, json=body, headers=headers) as response:
        return await Answer.of(response)


async def ok(service: Service, path: str, **body: Any) -> Any:
    answer = await post(service, path, **body)
    assert answer.status == 200, answer.text
    return answer.json


async def chat(service: Service, messages: list[Any], **body: Any) -> Any:
    path = "/openai/v1/chat/completions"
    return (await ok(service, path, model="echo", messages=messages, **body))["choices"][0]


def sse(text: str) -> list[dict[str, Any]]:
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


# Native.


async def test_native_round_trip_goes_on_in_the_same_conversation(service: Service) -> None:
    first = await ok(service, "/api/v1/prompt", prompt=f"look {CALL}", tools=[NATIVE_TOOL])
    assert first["stop_reason"] == "tool_use"
    assert first["output"] == "look "
    (call,) = first["tool_calls"]
    assert (call["name"], call["input"]) == ("weather", ARGUMENTS)
    second = await ok(
        service,
        "/api/v1/prompt",
        session_id=first["session_id"],
        tool_results=[{"tool_use_id": call["id"], "content": "sunny"}],
        prompt="and now?",
    )
    assert "sunny" in second["output"]
    assert "and now?" in second["output"]
    assert service.figures().turns == {"seed": 1, "continue": 1} or service.figures().turns == {
        "start": 1,
        "continue": 1,
    }


async def test_native_stream_tells_the_call_and_its_stop_reason(service: Service) -> None:
    answer = await service.post(prompt=CALL, tools=[NATIVE_TOOL], headers=SSE)
    *_, call, end = [e for e in answer.events if e["type"] in ("tool_use", "complete")]
    assert call["content"]["tool_name"] == "weather"
    assert call["content"]["input"] == ARGUMENTS
    assert end["content"]["stop_reason"] == "tool_use"


async def test_native_results_alone_are_a_prompt(service: Service) -> None:
    first = await ok(service, "/api/v1/prompt", prompt=CALL, tools=[NATIVE_TOOL])
    results = [{"tool_use_id": first["tool_calls"][0]["id"], "content": "rain", "is_error": True}]
    second = await ok(
        service, "/api/v1/prompt", session_id=first["session_id"], tool_results=results
    )
    assert "rain" in second["output"]


async def test_native_results_that_hold_a_nul_spoil_no_session(service: Service) -> None:
    first = await ok(service, "/api/v1/prompt", prompt=CALL, tools=[NATIVE_TOOL])
    session = {"session_id": first["session_id"]}
    results = [{"tool_use_id": first["tool_calls"][0]["id"], "content": "a\0b"}]
    second = await ok(service, "/api/v1/prompt", **session, tool_results=results)
    assert "a\ufffdb" in second["output"]
    assert (await ok(service, "/api/v1/prompt", **session, prompt="more"))["output"] == "more"


async def test_native_results_of_no_call_are_at_fault_themselves(service: Service) -> None:
    answer = await service.post(tool_results=[{"tool_use_id": "zz", "content": "a"}])
    assert (answer.status, answer.error["param"]) == (400, "tool_results")


async def test_native_wants_a_prompt_or_results(service: Service) -> None:
    answer = await service.post()
    assert (answer.status, answer.error["param"]) == (400, "prompt")


# Chat completions.


async def test_chat_round_trip(service: Service) -> None:
    messages: list[Any] = [{"role": "user", "content": f"look {CALL}"}]
    first = await chat(service, messages, tools=[CHAT_TOOL])
    assert first["finish_reason"] == "tool_calls"
    (call,) = first["message"]["tool_calls"]
    assert (call["type"], call["function"]["name"]) == ("function", "weather")
    assert json.loads(call["function"]["arguments"]) == ARGUMENTS
    messages += [first["message"], {"role": "tool", "tool_call_id": call["id"], "content": "sun"}]
    second = await chat(service, messages, tools=[CHAT_TOOL])
    assert "sun" in second["message"]["content"]
    assert second["finish_reason"] == "stop"
    assert service.figures().turns["continue"] == 1


async def test_chat_without_text_has_null_content(service: Service) -> None:
    first = await chat(service, [{"role": "user", "content": CALL}], tools=[CHAT_TOOL])
    assert first["message"]["content"] is None


async def test_chat_stream_gives_id_and_name_once_and_the_arguments_in_pieces(
    service: Service,
) -> None:
    answer = await post(
        service,
        "/openai/v1/chat/completions",
        model="echo",
        messages=[{"role": "user", "content": CALL}],
        tools=[CHAT_TOOL],
        stream=True,
    )
    chunks = [chunk["choices"][0] for chunk in sse(answer.text)]
    pieces = [c["delta"]["tool_calls"][0] for c in chunks if "tool_calls" in c["delta"]]
    assert pieces[0]["id"]
    assert pieces[0]["function"] == {"name": "weather", "arguments": ""}
    assert all(piece["index"] == 0 and "id" not in piece for piece in pieces[1:])
    arguments = "".join(piece["function"]["arguments"] for piece in pieces)
    assert json.loads(arguments) == ARGUMENTS
    assert chunks[-1]["finish_reason"] == "tool_calls"


async def test_legacy_functions(service: Service) -> None:
    messages: list[Any] = [{"role": "user", "content": CALL}]
    first = await chat(service, messages, functions=[FUNCTION])
    assert first["finish_reason"] == "function_call"
    assert first["message"]["function_call"]["name"] == "weather"
    messages += [first["message"], {"role": "function", "name": "weather", "content": "fog"}]
    second = await chat(service, messages, functions=[FUNCTION])
    assert "fog" in second["message"]["content"]


# Responses.


async def test_responses_round_trip(service: Service) -> None:
    path = "/openai/v1/responses"
    tools = [RESPONSES_TOOL]
    first = await ok(service, path, model="echo", input=CALL, tools=tools)
    (item,) = [item for item in first["output"] if item["type"] == "function_call"]
    assert (item["name"], json.loads(item["arguments"])) == ("weather", ARGUMENTS)
    assert item["status"] == first["status"] == "completed"
    given = [{"type": "function_call_output", "call_id": item["call_id"], "output": "hail"}]
    second = await ok(
        service, path, model="echo", input=given, tools=tools, previous_response_id=first["id"]
    )
    assert "hail" in second["output"][0]["content"][0]["text"]
    assert service.figures().turns["continue"] == 1


async def test_responses_stream_fills_the_call_item(service: Service) -> None:
    answer = await post(
        service,
        "/openai/v1/responses",
        model="echo",
        input=CALL,
        tools=[RESPONSES_TOOL],
        stream=True,
    )
    events = sse(answer.text)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = [e["type"].removeprefix("response.") for e in events if "function_call" in str(e)]
    assert kinds[0] == "output_item.added"
    assert "function_call_arguments.delta" in kinds
    done = next(e for e in events if e["type"] == "response.function_call_arguments.done")
    assert json.loads(done["arguments"]) == ARGUMENTS


# Messages.


def anthropic(messages: list[Any], **more: Any) -> dict[str, Any]:
    return {"model": "echo", "max_tokens": 500, "messages": messages, **more}


async def test_messages_round_trip(service: Service) -> None:
    path = "/anthropic/v1/messages"
    messages: list[Any] = [{"role": "user", "content": f"look {CALL}"}]
    first = await ok(service, path, **anthropic(messages, tools=[NATIVE_TOOL]))
    assert first["stop_reason"] == "tool_use"
    text, call = first["content"]
    assert text == {"type": "text", "text": "look "}
    assert (call["type"], call["name"], call["input"]) == ("tool_use", "weather", ARGUMENTS)
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": "snow"}
    messages += [
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": [result]},
    ]
    second = await ok(service, path, **anthropic(messages, tools=[NATIVE_TOOL]))
    assert "snow" in second["content"][0]["text"]
    assert service.figures().turns["continue"] == 1


async def test_messages_stream_gives_the_input_as_json_pieces(service: Service) -> None:
    messages = [{"role": "user", "content": f"look {CALL}"}]
    body = anthropic(messages, tools=[NATIVE_TOOL], stream=True)
    events = sse((await post(service, "/anthropic/v1/messages", **body)).text)
    started = [e for e in events if e["type"] == "content_block_start"]
    assert [e["index"] for e in started] == [0, 1]
    assert started[1]["content_block"]["type"] == "tool_use"
    assert started[1]["content_block"]["input"] == {}
    pieces = [e["delta"] for e in events if e["type"] == "content_block_delta" and e["index"] == 1]
    assert json.loads("".join(piece["partial_json"] for piece in pieces)) == ARGUMENTS
    assert [e["type"] for e in events[-3:]] == [
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


# What is refused.

CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    ],
}
ASKED = {"role": "user", "content": "hi"}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "sun"}


@pytest.mark.parametrize(
    "messages",
    [
        [ASKED, CALLED, {**RESULT, "tool_call_id": "c2"}],
        [ASKED, CALLED, {"role": "user", "content": "never mind"}],
        [ASKED, CALLED, RESULT, RESULT],
        [ASKED, RESULT],
    ],
    ids=["unknown", "missing", "twice", "without a call"],
)
async def test_results_that_do_not_fit_the_calls_are_refused(
    messages: list[Any], service: Service
) -> None:
    answer = await post(
        service,
        "/openai/v1/chat/completions",
        model="echo",
        messages=messages,
        tools=[CHAT_TOOL],
    )
    assert answer.status == 400, answer.text
    assert answer.json["error"]["param"].startswith("messages")
    assert service.turns() == 0


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tools": [CHAT_TOOL, CHAT_TOOL]}, "tools"),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "parameters": {"type": 1}}}]},
            "tools[0].function",
        ),
        ({"tools": [CHAT_TOOL], "tool_choice": "sometimes"}, "tool_choice"),
        (
            {
                "tools": [CHAT_TOOL],
                "tool_choice": {"type": "function", "function": {"name": "other"}},
            },
            "tool_choice",
        ),
        ({"tool_choice": "required"}, "tool_choice"),
    ],
)
async def test_tools_that_are_none_are_refused(
    body: dict[str, Any], param: str, service: Service
) -> None:
    path = "/openai/v1/chat/completions"
    answer = await post(service, path, model="echo", messages=[ASKED], **body)
    assert answer.status == 400, answer.text
    assert answer.json["error"]["param"] == param


async def test_tools_that_the_provider_would_run_are_refused(service: Service) -> None:
    body = anthropic([ASKED], tools=[{"type": "web_search_20250305", "name": "web_search"}])
    answer = await post(service, "/anthropic/v1/messages", **body)
    assert answer.status == 400
    assert answer.json["error"]["message"].startswith("tools[0]:")
