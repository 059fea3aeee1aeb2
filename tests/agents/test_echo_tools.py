"""The echo agent calls the tools of its client when a prompt tells it to."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from .client import AgentClient, AgentError, text

Object = dict[str, Any]

TOOLS: list[Object] = [
    {"name": name, "description": "", "inputSchema": {}} for name in ("weather", "add")
]


async def ask(
    echo: AgentClient, session: str, *prompt: str | Object, **choice: Any
) -> tuple[str, list[Object]]:
    """The text of the answer, and the calls with which it ends."""
    extension: Object = {"tools": TOOLS, **({"toolChoice": choice} if choice else {})}
    answering = echo.start_with(session, extension, *prompt)
    result = await answering.finished
    assert result["stopReason"] == "end_turn"
    calls: list[Object] = result.get("_meta", {}).get("clinvk", {}).get("toolCalls", [])
    return answering.text, calls


def given(call: str, words: str, is_error: bool = False) -> Object:
    return {"type": "tool_result", "toolUseId": call, "content": [text(words)], "isError": is_error}


async def test_a_call_ends_the_answer_and_its_result_is_the_next_prompt(echo: AgentClient) -> None:
    session = await echo.new_session()
    prompt = 'Let me see. [[call weather {"city": "]] Oslo"}]]'
    assert await ask(echo, session, prompt) == (
        "Let me see. ",
        [{"id": "call-1", "name": "weather", "input": {"city": "]] Oslo"}}],
    )
    assert await ask(echo, session, given("call-1", "It rains.")) == ("It rains.", [])
    held = json.loads((await ask(echo, session, "[[history]]"))[0])["history"]
    assert [block["type"] for block in held[1]["content"]] == ["text", "tool_use"]
    assert held[2]["content"] == [given("call-1", "It rains.")]


async def test_several_calls_and_several_rounds(echo: AgentClient) -> None:
    session = await echo.new_session()
    _, calls = await ask(echo, session, "[[call weather]][[call add {}]]")
    assert [(call["id"], call["name"]) for call in calls] == [
        ("call-1", "weather"),
        ("call-2", "add"),
    ]
    results = (given("call-1", "[[call add]]a"), given("call-2", "b", is_error=True))
    said, calls = await ask(echo, session, *results)
    assert (said, [call["id"] for call in calls]) == ("a\nb", ["call-3"])


async def test_ids_go_on_after_those_of_the_history(echo: AgentClient) -> None:
    use = {"type": "tool_use", "id": "call-1", "name": "weather", "input": {}}
    history = [
        {"role": "user", "content": [text("a")]},
        {"role": "assistant", "content": [use]},
    ]
    session = await echo.new_session(history=history)
    _, calls = await ask(echo, session, given("call-1", "[[call add]]"))
    assert [call["id"] for call in calls] == ["call-2"]


@pytest.mark.parametrize(
    ("choice", "named"),
    [
        ({"mode": "auto"}, []),
        ({"mode": "required"}, ["weather"]),
        ({"mode": "named", "name": "add"}, ["add"]),
    ],
)
async def test_the_client_may_demand_a_call(
    echo: AgentClient, choice: Object, named: list[str]
) -> None:
    session = await echo.new_session()
    _, calls = await ask(echo, session, "hello", **choice)
    assert [call["name"] for call in calls] == named


async def test_the_client_may_want_one_call_at_a_time(echo: AgentClient) -> None:
    session = await echo.new_session()
    prompt = "[[call weather]][[call add]]"
    _, calls = await ask(echo, session, prompt, mode="auto", parallel=False)
    assert [call["name"] for call in calls] == ["weather"]


@pytest.mark.parametrize(
    ("prompt", "complaint"),
    [
        ("[[call unknown]]", "no tool 'unknown' is offered"),
        ("[[call add [1]]]", "a JSON object after add"),
        ("[[call add {]]", "JSON after add"),
    ],
)
async def test_a_call_that_cannot_be_made_fails_the_prompt(
    echo: AgentClient, prompt: str, complaint: str
) -> None:
    session = await echo.new_session()
    with pytest.raises(AgentError, match=re.escape(complaint)):
        await ask(echo, session, prompt)


@pytest.mark.parametrize(
    ("extension", "named"),
    [
        ({"tools": {}}, "_meta.clinvk.tools"),
        ({"tools": [{"name": "a"}]}, "_meta.clinvk.tools[0]"),
        ({"toolChoice": "auto"}, "_meta.clinvk.toolChoice"),
        ({"toolChoice": {"mode": "never"}}, "_meta.clinvk.toolChoice"),
        ({"toolChoice": {"mode": "named", "name": 1}}, "_meta.clinvk.toolChoice"),
    ],
)
async def test_a_wrong_member_is_named(echo: AgentClient, extension: Object, named: str) -> None:
    session = await echo.new_session()
    with pytest.raises(AgentError) as caught:
        await echo.start_with(session, extension, "x").finished
    assert named in str(caught.value)


@pytest.mark.parametrize("block", [{"type": "tool_use"}, {"type": "tool_result", "content": 1}])
async def test_an_incomplete_block_is_refused(echo: AgentClient, block: Object) -> None:
    session = await echo.new_session()
    with pytest.raises(AgentError, match="a complete tool_"):
        await ask(echo, session, block)
