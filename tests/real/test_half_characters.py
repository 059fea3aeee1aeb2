"""Halves of surrogate pairs, which JavaScript keeps in its strings and writes as escapes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clinvkd.events import Request
from clinvkd.prompt import Tool
from tests.pools import text_of

from .test_acp_tools import PREFIXES
from .test_hostile_input import stage_of

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

LOOK_UP = Tool("look_up", "", {"type": "object", "properties": {"topic": {"type": "string"}}})


@pytest.mark.parametrize("name", ["claude", "gemini", "opencode", "qwen"])
async def test_half_a_character_costs_nothing_but_itself(name: str, tmp_path: Path) -> None:
    said = {"text": "before x\ud83dy after \U0001f600", "chunks": 2}
    call = {"name": PREFIXES.get(name, "") + "look_up", "arguments": {"topic": "x\ud83dy"}}
    async with stage_of(name, tmp_path) as on:
        assert text_of(await on.ask(_directed(said))) == "before x\ufffdy after \U0001f600"
        events = await on.ask(_directed({"tools": [call]}), tools=(LOOK_UP,))
        (request,) = [event for event in events if isinstance(event, Request)]
        assert (request.name, request.input) == ("look_up", {"topic": "x\ufffdy"})


def _directed(reply: object) -> str:
    """`json.dumps` writes halves as escapes, so the prompt itself has none."""
    return f"%%{json.dumps(reply)}%%"
