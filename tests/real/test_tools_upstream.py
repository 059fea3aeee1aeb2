"""What the providers get of a caller's tools: definitions, calls and results as they were.

A schema that has about everything, compared with its members in order, so that no agent changes
anything unnoticed: what they do change is written down here and in the documentation.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout

from ..daemon import daemon
from ..providers import RecordedRequest, Reply, ToolCall
from ..real_agents import AGENTS, prepare
from .tools_stage import MODELS, SHOWN

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Bestellung",
    "description": 'Eine Bestellung: 注文 🍣\nover two lines, with "quotes" and \\ signs.',
    "type": "object",
    "properties": {
        "zebra": {"$ref": "#/$defs/address"},
        "alpha": {"type": "string", "enum": ["a", "b", "ü"], "default": "a"},
        "kind": {"const": "order"},
        "code": {"type": "string", "pattern": "^[A-Z]{2,3}-\\d+$", "minLength": 4, "maxLength": 9},
        "when": {"type": "string", "format": "date-time", "examples": ["2026-01-01T00:00:00Z"]},
        "count": {"type": "integer", "minimum": 1, "exclusiveMaximum": 100, "multipleOf": 5},
        "price": {"type": "number", "exclusiveMinimum": 0.5, "maximum": 1_000_000},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "shape": {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {"radius": {"type": "number"}},
                    "required": ["radius"],
                    "additionalProperties": False,
                },
                {"$ref": "#/$defs/square"},
            ]
        },
        "tags": {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "minItems": 1,
            "maxItems": 3,
            "uniqueItems": True,
        },
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        "odd name": {"type": "boolean", "description": "blank"},
        "größe": {"type": "number"},
        "a.b/c~d$e": {"type": "string", "deprecated": True},
        "x-": {"type": "string", "x-vendor": {"deep": [1, None, True]}},
    },
    "required": ["zebra", "alpha"],
    "additionalProperties": False,
    "$defs": {
        "address": {
            "type": "object",
            "properties": {
                "street": {"type": "string"},
                "next": {"$ref": "#/$defs/address"},
            },
            "required": ["street"],
        },
        "square": {
            "type": "object",
            "properties": {"side": {"type": "number", "minimum": 0}},
            "required": ["side"],
        },
    },
}
DESCRIPTION = 'Bestellt etwas: 注文する.\n\nUse it "once" <b>only</b> & never \\ twice.'
ARGUMENTS = {
    "zebra": {"street": "Straße 5", "next": {"street": "通り"}},
    "alpha": "ü",
    "kind": "order",
    "count": 5,
    "price": 1.5,
    "maybe": None,
    "shape": {"side": 2},
    "tags": ["x"],
    "map": {"k": 1},
    "odd name": True,
    "größe": 2.25,
    "a.b/c~d$e": 'q"\\\n',
}
RESULT = 'Straße "✓" <done> & more\n\tline two \\ end'


def text_of(value: Any) -> str:
    """JSON with its members in order: what is compared is compared to the letter."""
    return json.dumps(value, ensure_ascii=False)


def answer(name: str, request: RecordedRequest) -> Reply:
    if any(said.role == "tool" for said in request.conversation.utterances):
        return Reply(text="Done.")
    return Reply(tools=(ToolCall(name, ARGUMENTS),))


async def exchanged(cli: str, folder: Path) -> RecordedRequest:
    """Have the model behind `cli` call the tool, and bring the result; the last request."""
    shown = SHOWN[cli].format("order")
    async with AGENTS[cli](lambda request: answer(shown, request)) as provider:
        agent = prepare(cli, provider.url, folder)
        command = [*agent.command, *(["--acp"] if cli == "gemini" else [])]
        # Without a spare: the conversation that waits for the result would give way to one.
        pool = {"agents": 1, "spares": 0}
        section = {"command": command, "environment": agent.environment, "pool": pool}
        function = {"name": "order", "description": DESCRIPTION, "parameters": SCHEMA}
        said: list[Any] = [{"role": "user", "content": "go"}]
        message: dict[str, Any] = {}
        async with (
            daemon(folder / "daemon", json.dumps({"backends": {cli: section}})) as running,
            ClientSession(timeout=ClientTimeout(total=60)) as http,
        ):
            for _ in range(2):
                body = {
                    "model": f"{cli}/{MODELS[cli]}",
                    "messages": said,
                    "tools": [{"type": "function", "function": function}],
                }
                url = f"{running.url}/openai/v1/chat/completions"
                async with http.post(url, json=body) as response:
                    answered = await response.json()
                    assert response.status == 200, answered
                message = answered["choices"][0]["message"]
                said.append(message)
                for call in message.get("tool_calls") or ():
                    assert text_of(json.loads(call["function"]["arguments"])) == text_of(ARGUMENTS)
                    result = {"tool_call_id": call["id"], "content": RESULT}
                    said.append({"role": "tool", **result})
        assert message["content"] == "Done."
        assert len(provider.turns) == 2
        return provider.turns[-1]


async def test_claude_changes_nothing(tmp_path: Path) -> None:
    body = (await exchanged("claude", tmp_path)).body
    (tool,) = body["tools"]
    assert text_of(tool["input_schema"]) == text_of(SCHEMA)
    assert (tool["name"], tool["description"]) == ("order", DESCRIPTION)
    blocks = [
        block
        for message in body["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
        if block["type"] in ("tool_use", "tool_result")
    ]
    use, result = blocks
    assert text_of(use["input"]) == text_of(ARGUMENTS)
    assert use["name"] == "order"
    assert result["tool_use_id"] == use["id"]
    assert result["content"] in (RESULT, [{"type": "text", "text": RESULT}])


async def test_gemini_adds_a_flag_and_tells_the_model_not_to_trust_results(tmp_path: Path) -> None:
    body = (await exchanged("gemini", tmp_path)).body
    ((tool,),) = (tools["functionDeclarations"] for tools in body["tools"])
    schema = tool["parametersJsonSchema"]
    assert schema["properties"].pop("wait_for_previous")["type"] == "boolean"
    # It puts some members before the others.
    assert text_of(schema["properties"]) == text_of(SCHEMA["properties"])
    assert text_of({name: schema[name] for name in SCHEMA}) == text_of(SCHEMA)
    assert schema.keys() == SCHEMA.keys()
    assert (tool["name"], tool["description"]) == ("mcp_clinvk_order", DESCRIPTION)
    parts = [part for content in body["contents"][1:] for part in content["parts"]]
    call, result = parts[0]["functionCall"], parts[1]["functionResponse"]
    assert text_of(call["args"]) == text_of(ARGUMENTS)
    assert call["name"] == result["name"] == "mcp_clinvk_order"
    assert call["id"] == result["id"]
    told = f"<untrusted_context>\n{RESULT}\n</untrusted_context>"
    assert result["response"] == {"output": told}


async def test_codex_gets_in_words_what_it_would_drop(tmp_path: Path) -> None:
    body = (await exchanged("codex", tmp_path)).body
    (tool,) = body["tools"]
    schema = restored(tool["parameters"])
    # What says the same in codex's part of JSON Schema.
    assert schema["properties"]["kind"] == {"type": "string", "enum": ["order"]}
    schema["properties"]["kind"] = SCHEMA["properties"]["kind"]
    assert schema["properties"]["map"].pop("properties") == {}
    assert {"$schema": SCHEMA["$schema"], **schema} == SCHEMA
    assert (tool["name"], tool["description"]) == ("order", DESCRIPTION)
    call, result = (item for item in body["input"] if item["type"].startswith("function_call"))
    assert call["arguments"] == json.dumps(ARGUMENTS)  # as the model wrote them
    assert call["name"] == "order"
    assert result["call_id"] == call["call_id"]
    assert result["output"] == RESULT


def restored(schema: Any) -> Any:
    """A schema with what stands in its descriptions put back where it was."""
    match schema:
        case dict():
            told = {name: restored(value) for name, value in schema.items()}
            match told.get("description"):
                case str(description) if "More of its JSON Schema: " in description:
                    said, _, rest = description.rpartition("More of its JSON Schema: ")
                    del told["description"]
                    told |= {"description": said[:-1]} if said else {}
                    told |= json.loads(rest)
            return told
        case list():
            return [restored(value) for value in schema]
        case _:
            return schema
