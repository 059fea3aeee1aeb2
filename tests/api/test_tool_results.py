"""Results that do not fit the calls: refused as the vendors refuse them, word for word."""

from __future__ import annotations

from typing import Any

import pytest

from .service import Answer, Service

CHAT = "/openai/v1/chat/completions"
RESPONSES = "/openai/v1/responses"
MESSAGES = "/anthropic/v1/messages"
pytestmark = pytest.mark.asyncio(loop_scope="session")

ASKED = {"role": "user", "content": "hi"}


async def refusal(service: Service, path: str, **body: Any) -> Any:
    before = service.turns()
    async with service.client.post(path, json={"model": "echo", **body}) as response:
        answer = await Answer.of(response)
    assert answer.status == 400, answer.text
    assert service.turns() == before
    error = answer.json["error"]
    assert error["type"] == "invalid_request_error"
    return error


def chat_call(*ids: str) -> dict[str, Any]:
    function = {"name": "look", "arguments": "{}"}
    calls = [{"id": call, "type": "function", "function": function} for call in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def chat_result(call: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call, "content": "there"}


UNKNOWN_IN_CHAT = (
    "Invalid parameter: 'tool_call_id' of 'x' not found in 'tool_calls' of previous message."
)
TWICE_IN_CHAT = (
    "Invalid parameter: Duplicate value for 'tool_call_id' of 'a', in messages[2] and messages[3]."
)
NO_CALL_IN_CHAT = (
    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with"
    " 'tool_calls'."
)
MISSING_IN_CHAT = (
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
    " 'tool_call_id'. The following tool_call_ids did not have response messages: "
)


@pytest.mark.parametrize(
    ("said", "message", "param"),
    [
        ([chat_call("a"), chat_result("x")], UNKNOWN_IN_CHAT, "messages.[2].tool_call_id"),
        (
            [chat_call("a"), chat_result("a"), chat_result("a")],
            TWICE_IN_CHAT,
            "messages.[3].tool_call_id",
        ),
        ([chat_result("a")], NO_CALL_IN_CHAT, "messages.[1].role"),
        (
            [chat_call("a"), chat_result("a"), ASKED, chat_result("a")],
            NO_CALL_IN_CHAT,
            "messages.[4].role",
        ),
        (
            [chat_call("a", "b", "c"), chat_result("b")],
            MISSING_IN_CHAT + "a, c",
            "messages.[2].role",
        ),
        ([chat_call("a"), ASKED], MISSING_IN_CHAT + "a", "messages.[2].role"),
    ],
    ids=["unknown", "twice", "no call", "too late", "missing", "none"],
)
async def test_chat(said: list[Any], message: str, param: str, service: Service) -> None:
    error = await refusal(service, CHAT, messages=[ASKED, *said])
    assert (error["message"], error["param"], error["code"]) == (message, param, None)


def item_call(call: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call, "name": "look", "arguments": "{}"}


def item_result(call: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call, "output": "there"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            [item_call("a"), item_result("a"), item_result("x")],
            "No tool call found for function call output with call_id x.",
        ),
        (
            [item_call("a"), item_result("a"), item_result("a")],
            "No tool call found for function call output with call_id a.",
        ),
        ([item_result("a")], "No tool call found for function call output with call_id a."),
        (
            [item_call("a"), item_call("b"), item_result("b")],
            "No tool output found for function call a.",
        ),
    ],
    ids=["unknown", "twice", "no call", "missing"],
)
async def test_responses(given: list[Any], message: str, service: Service) -> None:
    error = await refusal(service, RESPONSES, input=[ASKED, *given])
    assert (error["message"], error["param"], error["code"]) == (message, "input", None)


async def test_calls_of_the_response_before_want_results_too(service: Service) -> None:
    tools = [{"type": "function", "name": "look", "parameters": {"type": "object"}}]
    body = {"model": "echo", "input": "[[call look {}]]", "tools": tools}
    async with service.client.post(RESPONSES, json=body) as response:
        before = await response.json()
    (call,) = [item["call_id"] for item in before["output"] if item["type"] == "function_call"]
    go_on = {"tools": tools, "previous_response_id": before["id"]}
    error = await refusal(service, RESPONSES, input="never mind", **go_on)
    assert error["message"] == f"No tool output found for function call {call}."
    error = await refusal(service, RESPONSES, input=[item_result("x")], **go_on)
    assert error["message"] == "No tool call found for function call output with call_id x."


def uses(*ids: str) -> dict[str, Any]:
    blocks = [{"type": "tool_use", "id": call, "name": "look", "input": {}} for call in ids]
    return {"role": "assistant", "content": blocks}


def results(*ids: str) -> dict[str, Any]:
    blocks = [{"type": "tool_result", "tool_use_id": call, "content": "there"} for call in ids]
    return {"role": "user", "content": blocks}


UNEXPECTED = (
    "{}: unexpected `tool_use_id` found in `tool_result` blocks: {}. Each `tool_result` block must"
    " have a corresponding `tool_use` block in the previous message."
)
TWICE = (
    "messages.2.content.1: each tool_use must have a single result. Found multiple `tool_result`"
    " blocks with id: a"
)
WITHOUT = (
    "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each"
    " `tool_use` block must have a corresponding `tool_result` block in the next message."
)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ([uses("a"), results("a", "x")], UNEXPECTED.format("messages.2.content.1", "x")),
        ([results("a")], UNEXPECTED.format("messages.1.content.0", "a")),
        (
            [uses("a"), results("a"), uses("b"), results("a")],
            UNEXPECTED.format("messages.4.content.0", "a"),
        ),
        ([uses("a"), results("a", "a")], TWICE),
        ([uses("a", "b", "c"), results("b")], WITHOUT.format("a, c")),
        ([uses("a"), ASKED], WITHOUT.format("a")),
        ([uses("a"), uses("b"), results("b")], WITHOUT.format("a")),
    ],
    ids=["unknown", "no call", "too late", "twice", "missing", "none", "before another call"],
)
async def test_messages(said: list[Any], message: str, service: Service) -> None:
    error = await refusal(service, MESSAGES, max_tokens=9, messages=[ASKED, *said])
    assert error["message"] == message
    error = await refusal(service, f"{MESSAGES}/count_tokens", messages=[ASKED, *said])
    assert error["message"] == message


async def test_results_may_come_in_any_order_and_in_several_messages(service: Service) -> None:
    said = [ASKED, uses("a", "b"), results("b"), results("a"), {"role": "user", "content": "so?"}]
    body = {"model": "echo", "max_tokens": 9, "messages": said}
    async with service.client.post(MESSAGES, json=body) as response:
        assert response.status == 200, await response.text()
    chat = [ASKED, chat_call("a", "b"), chat_result("b"), chat_result("a"), ASKED]
    async with service.client.post(CHAT, json={"model": "echo", "messages": chat}) as response:
        assert response.status == 200, await response.text()


async def test_native_names_the_result(service: Service) -> None:
    tool = {"name": "look", "input_schema": {"type": "object"}}
    first = await service.post(prompt="[[call look {}]]", tools=[tool])
    session = first.json["session_id"]
    given = [{"tool_use_id": "x", "content": "there"}]
    answer = await service.post(session_id=session, tool_results=given)
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert "'x'" in answer.error["message"]
