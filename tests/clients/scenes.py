"""What the fake providers do with the caller's tool `weather`, and how to read what they got back.

Every agent shows its model the caller's tools in the vendor's own form; here the three become one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..providers import RecordedRequest

TOOL_PREFIXES = {"gemini": "mcp_clinvk_"}
"""What an agent puts before the name of a caller's tool when it tells its model of it."""

ONE_CALL = "one_call"
"""A call, and with its result the answer."""
ROUNDS = "rounds"
"""Text and two calls at once; text and a call that fails; text and a call; the answer."""

CALLED = {
    ONE_CALL: ["Oslo"],
    ROUNDS: ["Oslo", "Rome", "Atlantis", "Paris"],
}
"""The cities the tool is called for in each scene; there is no weather in Atlantis."""
SAID = {
    ONE_CALL: ["It is cold."],
    ROUNDS: ["Let me see.", "Now the island.", "One more.", "It is cold everywhere."],
}
"""The texts of each scene, those before calls included."""


def scenes(backend: str) -> dict[str, dict[str, Any]]:
    """The scripted answers of the scenes, in the form of a directive."""

    def calls(*cities: str) -> list[dict[str, Any]]:
        name = TOOL_PREFIXES.get(backend, "") + "weather"
        return [{"name": name, "arguments": {"city": city}} for city in cities]

    before, between, again, last = SAID[ROUNDS]
    third = {"text": again, "tools": calls("Paris"), "then": {"text": last}}
    second = {"text": between, "tools": calls("Atlantis"), "then": third}
    return {
        ONE_CALL: {"tools": calls("Oslo"), "then": {"text": SAID[ONE_CALL][0]}},
        ROUNDS: {"text": before, "tools": calls("Oslo", "Rome"), "then": second},
    }


@dataclass(frozen=True, slots=True)
class Definition:
    """A tool of the caller as a provider was told of it."""

    description: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A call and its result as a provider was told of them."""

    identity: str
    """The call's id, or "" where the agent makes its own."""
    name: str
    arguments: dict[str, Any]
    result: str
    is_error: bool | None
    """None where the vendor has no word for it."""


def definitions(request: RecordedRequest) -> dict[str, Definition]:
    """The caller's tools by the caller's names."""
    found = {}
    for tool in request.body.get("tools", ()):
        match tool:
            case {"functionDeclarations": declared}:
                prefix = TOOL_PREFIXES["gemini"]
                for one in declared:
                    schema = _without_own(one["parametersJsonSchema"])
                    found[one["name"].removeprefix(prefix)] = Definition(one["description"], schema)
            case {"name": name, "input_schema": schema} | {"name": name, "parameters": schema}:
                found[name] = Definition(tool.get("description", ""), schema)
    return found


def exchanges(request: RecordedRequest) -> list[Exchange]:
    """The calls of the history with their results, in the order of the results.

    Fails when a result has no call.
    """
    body = request.body
    if "contents" in body:
        return _of_gemini(body["contents"])
    if "input" in body:
        return _of_responses(body["input"])
    return _of_messages(body["messages"])


def _of_messages(messages: list[dict[str, Any]]) -> list[Exchange]:
    blocks = [b for m in messages if isinstance(m["content"], list) for b in m["content"]]
    calls = {block["id"]: block for block in blocks if block["type"] == "tool_use"}
    return [
        Exchange(
            block["tool_use_id"],
            calls[block["tool_use_id"]]["name"],
            calls[block["tool_use_id"]]["input"],
            json.dumps(block["content"]),
            block.get("is_error", False),
        )
        for block in blocks
        if block["type"] == "tool_result"
    ]


def _of_responses(items: list[dict[str, Any]]) -> list[Exchange]:
    calls = {item["call_id"]: item for item in items if item["type"] == "function_call"}
    return [
        Exchange(
            item["call_id"],
            calls[item["call_id"]]["name"],
            json.loads(calls[item["call_id"]]["arguments"]),
            json.dumps(item["output"]),
            None,
        )
        for item in items
        if item["type"] == "function_call_output"
    ]


def _of_gemini(contents: list[dict[str, Any]]) -> list[Exchange]:
    """Calls and results belong together by their order."""
    parts = [part for content in contents for part in content["parts"]]
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    results = [part["functionResponse"] for part in parts if "functionResponse" in part]
    assert [call["name"] for call in calls] == [result["name"] for result in results]
    return [
        Exchange(
            "",
            call["name"].removeprefix(TOOL_PREFIXES["gemini"]),
            call["args"],
            json.dumps(result["response"]),
            None,
        )
        for call, result in zip(calls, results, strict=True)
    ]


def _without_own(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without the property that gemini adds to every tool."""
    properties = {
        name: s for name, s in schema["properties"].items() if name != "wait_for_previous"
    }
    return {**schema, "properties": properties}
