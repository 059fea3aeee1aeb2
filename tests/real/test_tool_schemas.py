"""What reaches the model of the schemas of the caller's tools, through the real CLIs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clinvkd.drivers.base import Json
from clinvkd.drivers.codex.schemas import native_schema
from clinvkd.prompt import Tool

from ..drivers.tool_schemas import BY_NAME, LARGE, OTHERS, PASSED_ON
from . import acp_stage, claude_stage, codex_stage

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SCHEMAS = {**PASSED_ON, **OTHERS, "by name": BY_NAME, "large": LARGE}
TOOLS = tuple(
    Tool(f"tool_{number}", f"Takes {name}.", schema)
    for number, (name, schema) in enumerate(SCHEMAS.items())
)


async def test_codex_passes_on_what_it_is_given(tmp_path: Path) -> None:
    async with codex_stage.staged(tmp_path) as stage:
        await stage.ask("hi", tools=TOOLS)
        offered = stage.provider.turns[0].body["tools"]
    assert [tool["name"] for tool in offered] == [tool.name for tool in TOOLS]
    for tool, told in zip(TOOLS, offered, strict=True):
        written, added = native_schema(tool)
        if added:
            assert told["description"] == f"{tool.description}\n\n{added}"
            assert told["parameters"]["properties"].keys() == tool.schema["properties"].keys()
        else:
            assert told["description"] == tool.description
            assert told["parameters"] == written


async def test_gemini_gets_all_of_them(tmp_path: Path) -> None:
    async with acp_stage.stage("gemini", tmp_path) as stage:
        await stage.ask("hi", tools=TOOLS)
        declared = [
            one
            for tool in stage.provider.turns[0].body["tools"]
            for one in tool.get("functionDeclarations", ())
        ]
    schemas = {one["name"]: one["parametersJsonSchema"] for one in declared}
    for tool in TOOLS:
        told = schemas[f"mcp_clinvk_{tool.name}"]
        del told["properties"]["wait_for_previous"]
        assert told == _for_gemini(tool.schema)


def _for_gemini(schema: Json) -> Json:
    """What clinvk writes otherwise for its MCP server, and gemini for its API."""
    plain = json.loads(json.dumps(schema))
    for name, value in plain.setdefault("properties", {}).items():
        match value:
            case bool():
                plain["properties"][name] = {} if value else {"not": {}}
            case {"type": [kind, "null"]}:
                value |= {"type": kind, "nullable": True}
    return {"type": "object", **plain}


async def test_claude_passes_them_on_as_they_are(tmp_path: Path) -> None:
    async with claude_stage.stage("claude", tmp_path) as stage:
        await stage.ask("hi", tools=TOOLS)
        offered = stage.provider.turns[0].body["tools"]
    assert offered == [
        {
            "name": tool.name,
            "description": tool.description,
            "input_schema": {"type": "object", **tool.schema},
        }
        for tool in TOOLS
    ]
