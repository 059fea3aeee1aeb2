"""The local agent calls its client's tools, held to their schemas by a grammar."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from .client import AgentClient, AgentError, running_agent, text
from .test_local import pytestmark as needs_the_model

Object = dict[str, Any]

CITY: Object = {
    "type": "object",
    "properties": {"city": {"$ref": "#/$defs/city"}},
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"city": {"enum": ["Oslo", "Rome"]}},
}
WEATHER: Object = {"name": "weather", "description": "Tells it.", "inputSchema": CITY}
COUNT: Object = {
    "name": "count",
    "description": "Counts up to a number.",
    "inputSchema": {
        "type": "object",
        "properties": {"to": {"type": "integer", "minimum": 3, "maximum": 5}},
        "required": ["to"],
        "additionalProperties": False,
    },
}
QUESTION = "How is the weather in Oslo?"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def local(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AgentClient]:
    limits = ("--context", "1024", "--threads", "1", "--slots", "1")
    async with running_agent(tmp_path_factory.mktemp("home"), "local", *limits) as client:
        yield client


pytestmark = [*needs_the_model, pytest.mark.asyncio(loop_scope="module")]


async def ask(
    local: AgentClient, *prompt: str | Object, session: str = "", **extension: Any
) -> tuple[str, list[Object], Object]:
    """The text of an answer, the calls with which it ends, and its result."""
    session = session or await local.new_session()
    options = {"seed": 1, "max_tokens": 40, **extension.pop("options", {})}
    answering = local.start_with(session, {"options": options, **extension}, *prompt)
    result = await answering.finished
    calls: list[Object] = result.get("_meta", {}).get("clinvk", {}).get("toolCalls", [])
    return answering.text, calls, result


async def test_it_says_that_it_can(local: AgentClient) -> None:
    result = await local.request("initialize", {"protocolVersion": 1})
    assert result["agentCapabilities"]["_meta"]["clinvk"]["tools"] is True


async def test_a_tool_that_has_to_be_called_is_called_as_its_schema_says(
    local: AgentClient,
) -> None:
    said, (call,), result = await ask(
        local, QUESTION, tools=[WEATHER, COUNT], toolChoice={"mode": "required"}
    )
    assert (said, result["stopReason"], call["id"]) == ("", "end_turn", "call-1")
    match call["name"]:
        case "weather":
            assert call["input"]["city"] in ("Oslo", "Rome")
        case name:
            assert (name, call["input"]["to"] in (3, 4, 5)) == ("count", True)


async def test_the_named_tool_is_called(local: AgentClient) -> None:
    choice = {"mode": "named", "name": "count"}
    _, (call,), _ = await ask(local, QUESTION, tools=[WEATHER, COUNT], toolChoice=choice)
    assert call["name"] == "count"
    assert call["input"]["to"] in (3, 4, 5)
    with pytest.raises(AgentError, match="no tool 'add'") as caught:
        await ask(local, "go", tools=[WEATHER], toolChoice={"mode": "named", "name": "add"})
    assert caught.value.code == -32602


async def test_where_it_may_choose_it_may_also_talk(local: AgentClient) -> None:
    said, calls, _ = await ask(local, "Say hello.", tools=[COUNT])
    assert bool(said) != bool(calls)
    # What it has seen itself do before, it does again: even a small model can be led to a call.
    history = []
    for city in ("Rome", "Oslo", "Rome", "Oslo"):
        use = {"type": "tool_use", "id": "c", "name": "weather", "input": {"city": city}}
        history += [
            {"role": "user", "content": [text(f"How is the weather in {city}?")]},
            {"role": "assistant", "content": [use]},
        ]
    session = await local.new_session(history=history)
    said, (call,), _ = await ask(
        local, "How is the weather in Rome?", session=session, tools=[WEATHER],
        options={"temperature": 0},
    )  # fmt: skip
    assert (said, call["name"]) == ("", "weather")
    assert call["input"]["city"] in ("Oslo", "Rome")


async def test_results_go_on_with_the_conversation(local: AgentClient) -> None:
    session = await local.new_session()
    forced = {"tools": [WEATHER], "toolChoice": {"mode": "required"}}
    _, (call,), _ = await ask(local, QUESTION, session=session, **forced)
    result = {
        "type": "tool_result",
        "toolUseId": call["id"],
        "content": [text("It rains frogs.")],
        "isError": False,
    }
    said, calls, ended = await ask(local, result, session=session)
    assert said
    assert calls == []
    assert ended["usage"]["inputTokens"] > 20
    _, (again,), _ = await ask(local, QUESTION, session=session, **forced)
    assert again["id"] == "call-2"


async def test_beside_tools_an_answer_keeps_its_form(local: AgentClient) -> None:
    form: Object = {"type": "object", "properties": {"n": {"const": 7}}, "required": ["n"]}
    form |= {"additionalProperties": False}
    said, calls, _ = await ask(local, "Say hello.", tools=[COUNT], options={"schema": form})
    assert calls or json.loads(said) == {"n": 7}


async def test_a_call_that_is_cut_is_none(local: AgentClient) -> None:
    said, calls, result = await ask(
        local, QUESTION, tools=[WEATHER], toolChoice={"mode": "required"},
        options={"max_tokens": 8, "stop": ["weather"]},
    )  # fmt: skip
    assert (said, calls, result["stopReason"]) == ("", [], "max_tokens")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"not": {"const": 1}}}},
        {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}},
        {"type": "object", "properties": {"a": {"$ref": "https://example.invalid/schema"}}},
        {"type": "array"},
    ],
)
async def test_a_tool_that_it_cannot_be_held_to_is_refused(
    local: AgentClient, schema: Object
) -> None:
    bad = {"name": "bad", "description": "", "inputSchema": schema}
    for mode in ("auto", "required"):
        with pytest.raises(AgentError, match="schema of the tool 'bad'") as caught:
            await ask(local, "go", tools=[WEATHER, bad], toolChoice={"mode": mode})
        assert caught.value.code == -32602
        assert caught.value.data == {"type": "unusable_tool"}


async def test_odd_names_and_texts_do_not_break_the_grammar(local: AgentClient) -> None:
    odd = {
        "name": "a-b_\"'\\\n",
        "description": 'says "}" and \ud800',
        "inputSchema": {
            "type": "object",
            "properties": {'"\\\u00fc': {"const": 'x"\\'}},
            "required": ['"\\\u00fc'],
            "additionalProperties": False,
        },
    }
    _, (call,), _ = await ask(
        local, "go", tools=[odd], toolChoice={"mode": "required"}, options={"max_tokens": 100}
    )
    assert call == {"id": "call-1", "name": odd["name"], "input": {'"\\\u00fc': 'x"\\'}}
