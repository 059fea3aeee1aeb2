"""Custom tools and namespaces of the Responses API, which agents are given as functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from clinvkd.api.openai.responses.tools import declared
from clinvkd.errors import InvalidRequest

from ..service import sse_events
from .talk import OpenAI

IN_SESSION = pytest.mark.asyncio(loop_scope="session")

RESPONSES = "/responses"
PATCH = {
    "type": "custom",
    "name": "patch",
    "description": "Edits.",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "*"'},
}
FILES = {
    "type": "namespace",
    "name": "mcp__files",
    "description": "Files.",
    "tools": [
        {"type": "function", "name": "read", "parameters": {"type": "object"}},
        {"type": "custom", "name": "write"},
    ],
}


def call(name: str, **arguments: Any) -> str:
    """What makes echo call a tool."""
    return f"[[call {name} {json.dumps(arguments)}]]"


async def answered(openai: OpenAI, given: Any, **body: Any) -> list[dict[str, Any]]:
    """The output items of a response; echo knows every tool."""
    response = await openai.response(given, tools=[PATCH, FILES], **body)
    output: list[dict[str, Any]] = response["output"]
    return output


def test_a_custom_tool_is_a_function_of_one_text() -> None:
    (patch,) = declared([PATCH])
    assert patch.name == "patch"
    assert patch.description == 'Edits.\n\nThe input must match this lark grammar:\nstart: "*"'
    assert patch.schema["required"] == ["input"]
    assert patch.schema["properties"]["input"]["type"] == "string"


def test_functions_of_a_namespace_have_its_name_before_theirs() -> None:
    assert [tool.name for tool in declared([FILES])] == ["mcp__files__read", "mcp__files__write"]


@IN_SESSION
@pytest.mark.parametrize(
    ("item", "asked"),
    [
        ({"type": "custom_tool_call", "name": "patch", "input": "*"}, call("patch", input="*")),
        (
            {
                "type": "function_call",
                "name": "read",
                "namespace": "mcp__files",
                "arguments": '{"path":"a"}',
            },
            call("mcp__files__read", path="a"),
        ),
        (
            {
                "type": "custom_tool_call",
                "name": "write",
                "namespace": "mcp__files",
                "input": "text",
            },
            call("mcp__files__write", input="text"),
        ),
        # A model that does not keep to the schema: the caller sees what it gave.
        (
            {"type": "custom_tool_call", "name": "patch", "input": '{"patch":"*"}'},
            call("patch", patch="*"),
        ),
    ],
    ids=["custom", "namespace", "custom in a namespace", "wrong argument"],
)
async def test_a_call_looks_as_the_caller_declared_it(
    openai: OpenAI, item: dict[str, Any], asked: str
) -> None:
    (found,) = await answered(openai, asked)
    assert found["status"] == "completed"
    assert {name: found.get(name) for name in item} == item
    assert ("namespace" in found) is ("namespace" in item)


@IN_SESSION
@pytest.mark.parametrize(
    ("asked", "result"),
    [
        (call("patch", input="*"), "custom_tool_call_output"),
        (call("mcp__files__read", path="a"), "function_call_output"),
    ],
)
async def test_its_result_continues_the_conversation(
    openai: OpenAI, asked: str, result: str
) -> None:
    (item,) = await answered(openai, asked)
    before = openai.ways().get("continue", 0)
    given = [
        {"type": "message", "role": "user", "content": asked},
        item,
        {"type": result, "call_id": item["call_id"], "output": "hail"},
    ]
    (message,) = await answered(openai, given)
    assert "hail" in message["content"][0]["text"]
    assert openai.ways()["continue"] == before + 1


@IN_SESSION
async def test_a_stream_gives_the_free_text_and_no_json(openai: OpenAI) -> None:
    asked = call("patch", input="a\nb")
    answer = await openai.post(RESPONSES, input=asked, tools=[PATCH], stream=True)
    events = sse_events(answer.text)
    told = [event for event in events if "custom_tool_call_input" in event["type"]]
    assert [(event["type"].rpartition(".")[2], event.get("delta")) for event in told] == [
        ("delta", "a\nb"),
        ("done", None),
    ]
    assert told[-1]["input"] == "a\nb"
    assert not any("function_call_arguments" in event["type"] for event in events)


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"type": "web_search"}, "tools[0]"),
        ({"name": "patch"}, "tools[0]"),
        ({"type": "namespace", "name": "files"}, "tools[0]"),
        ({**FILES, "tools": [FILES]}, "tools[0].tools[0]"),
        ({**FILES, "tools": [{"type": "function"}]}, "tools[0].tools[0].name"),
        ({**PATCH, "format": {"type": "grammar"}}, "tools[0].format"),
        ({**PATCH, "description": 5}, "tools[0].description"),
    ],
    ids=str,
)
def test_what_no_caller_can_run_is_refused(tool: Mapping[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        declared([tool])
    assert caught.value.param == param
