"""The caller's tools with the real codex: its model calls them, the caller brings results."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clinvkd.errors import BackendRefused
from clinvkd.events import (
    Completed,
    Event,
    Opened,
    Request,
    RequestArguments,
    TextDelta,
    ToolOutput,
    Usage,
)
from clinvkd.pool import Way
from clinvkd.prompt import (
    Image,
    Message,
    Permissions,
    Prompt,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
)

from ..pools import ask, text_of
from ..providers import DEFAULT_TEXT
from ..providers.recording import JsonObject
from .codex_stage import Stage, asked, directed, failure, staged
from .test_codex import PIXEL

pytestmark = pytest.mark.real

PLAIN, CODE = "gpt-5.5", "gpt-6-sol"
"""Models of codex's own catalog: one with function tools, one that writes JavaScript."""

SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Its name"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = Tool("weather", "Tells the weather.", SCHEMA)
OSLO = {"name": "weather", "arguments": {"city": "Oslo"}}
ROME = {"name": "weather", "arguments": '{"city":   "Rome"}'}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as stage:
        yield stage


class Exchange:
    """A conversation with tools, as a caller leads it: it sends everything each time."""

    def __init__(self, stage: Stage, *calls: JsonObject, **options: Any) -> None:
        directive = options.pop("directive", {"tools": list(calls), "then": {"text": "Done."}})
        self._stage = stage
        self._options = {"tools": (WEATHER,), **options}
        self._messages: tuple[Message, ...] = (Message("user", (Text(directed(**directive)),)),)
        self.way = Way.START
        self.events: list[Event] = []

    async def go_on(self, *blocks: Any) -> list[Request]:
        """Bring `blocks` and take the answer; the calls in it."""
        if blocks:
            self._messages = (*self._messages, Message("user", blocks))
        prompt = replace(asked("-", **self._options), messages=self._messages)
        self.events = []
        async with self._stage.pool.turn(prompt, 30) as turn:
            async for batch in turn:
                self.events += batch
        self.way = turn.way
        self._messages = (*self._messages, turn.reply)
        return [event for event in self.events if isinstance(event, Request)]

    @property
    def completed(self) -> Completed:
        assert isinstance(self.events[-1], Completed)
        return self.events[-1]


def said(call: Request, *content: Text | Image, is_error: bool = False) -> ToolResult:
    return ToolResult(call.id, content or (Text(f"sunny in {call.input.get('city')}"),), is_error)


def pairs(stage: Stage) -> list[JsonObject]:
    """The calls and results in the last request that reached the provider."""
    wanted = {"type", "call_id", "name", "arguments", "output"}
    return [
        {key: value for key, value in sent.items() if key in wanted}
        for sent in stage.provider.turns[-1].body["input"]
        if sent["type"].startswith("function_call")
    ]


def tools_of(stage: Stage) -> list[str]:
    return [
        tool.get("name") or tool["type"] for tool in stage.provider.turns[-1].body.get("tools", ())
    ]


@pytest.mark.parametrize("model", ["fake-1", PLAIN, CODE])
async def test_one_call(stage: Stage, model: str) -> None:
    exchange = Exchange(stage, OSLO, model=model)
    (call,) = await exchange.go_on()
    assert (call.name, call.input) == ("weather", {"city": "Oslo"})
    usage = Usage(input_tokens=31, cached_tokens=7, output_tokens=13, reasoning_tokens=3)
    assert exchange.completed == Completed("tool_use", usage)
    assert stage.provider.turns[0].body["tools"] == [
        {
            "type": "function",
            "name": "weather",
            "description": "Tells the weather.",
            "strict": False,
            "parameters": SCHEMA,
        }
    ]
    assert await exchange.go_on(said(call)) == []
    assert exchange.way is Way.CONTINUE
    assert text_of(exchange.events) == "Done."
    assert exchange.completed == Completed("end_turn", usage)
    assert pairs(stage) == [
        {
            "type": "function_call",
            "call_id": call.id,
            "name": "weather",
            "arguments": '{"city": "Oslo"}',
        },
        {"type": "function_call_output", "call_id": call.id, "output": "sunny in Oslo"},
    ]
    assert [warning for agent in stage.pool.crew for warning in agent.driver.warnings] == []


async def test_text_and_two_calls_at_once(stage: Stage) -> None:
    exchange = Exchange(
        stage, directive={"text": "Let me see.", "tools": [OSLO, ROME], "then": {"text": "Done."}}
    )
    oslo, rome = await exchange.go_on()
    assert text_of(exchange.events) == "Let me see."
    texts = [index for index, e in enumerate(exchange.events) if isinstance(e, TextDelta)]
    assert max(texts) < exchange.events.index(oslo)
    assert RequestArguments(rome.id, '{"city":   "Rome"}') in exchange.events
    await exchange.go_on(said(rome, Text("no such city"), is_error=True), said(oslo))
    assert text_of(exchange.events) == "Done."
    assert [pair.get("output") for pair in pairs(stage)] == [
        None, None, "sunny in Oslo", "no such city",
    ]  # fmt: skip
    assert len(stage.provider.turns) == 2


async def test_three_rounds(stage: Stage) -> None:
    last: JsonObject = {"text": "Done."}
    for city in ("C", "B", "A"):
        call_of = {"name": "weather", "arguments": {"city": city}}
        last = {"text": f"{city}?", "tools": [call_of], "then": last}
    exchange = Exchange(stage, directive=last)
    calls = await exchange.go_on()
    for city in ("A", "B", "C"):
        (call,) = calls
        assert call.input == {"city": city}
        assert text_of(exchange.events) == f"{city}?"
        calls = await exchange.go_on(said(call))
        assert exchange.way is Way.CONTINUE
    assert text_of(exchange.events) == "Done."
    assert [p["output"] for p in pairs(stage) if "output" in p] == [
        "sunny in A", "sunny in B", "sunny in C",
    ]  # fmt: skip


async def test_result_with_an_image_and_text_beside_it(stage: Stage) -> None:
    exchange = Exchange(stage, OSLO)
    (call,) = await exchange.go_on()
    image = Image("image/png", PIXEL)
    await exchange.go_on(said(call, Text("a dot"), image), Text("What is it?"))
    assert exchange.way is Way.CONTINUE
    *_, output, question = stage.provider.turns[-1].body["input"]
    assert [part["type"] for part in output["output"]] == ["input_text", "input_image"]
    assert output["output"][1]["image_url"] == f"data:image/png;base64,{PIXEL}"
    assert question["content"] == [{"type": "input_text", "text": "What is it?"}]
    assert len(stage.provider.turns) == 2


@pytest.mark.parametrize("content", [(), (Text(""),)])
async def test_empty_result(stage: Stage, content: tuple[Text, ...]) -> None:
    exchange = Exchange(stage, OSLO)
    (call,) = await exchange.go_on()
    await exchange.go_on(ToolResult(call.id, content))
    assert pairs(stage)[-1]["output"] == ""


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": "nonsense", "arguments": {}}, "unsupported call: nonsense"),
        ({"name": "weather", "arguments": "{bad"}, "failed to parse function arguments"),
        ({"name": "weather", "arguments": "[1]"}, "the arguments must be a JSON object"),
    ],
)
async def test_calls_that_make_no_sense_are_answered_by_codex(
    stage: Stage, wrong: JsonObject, told: str
) -> None:
    alone = Exchange(stage, wrong)
    assert await alone.go_on() == []
    assert text_of(alone.events) == "Done."
    assert pairs(stage)[-1]["output"].startswith(told)
    # Between two good ones an unknown call even holds back the question for the second.
    for _ in range(5):
        between = Exchange(stage, OSLO, wrong, ROME)
        oslo, rome = await between.go_on()
        assert await between.go_on(said(oslo), said(rome)) == []
        assert between.way is Way.CONTINUE
        first, second, third = (pair["output"] for pair in pairs(stage) if "output" in pair)
        assert (first, third) == ("sunny in Oslo", "sunny in Rome")
        assert second.startswith(told)


async def test_a_parked_conversation_goes_on_later(stage: Stage) -> None:
    exchange = Exchange(stage, OSLO)
    (call,) = await exchange.go_on()
    await asyncio.sleep(1)
    await exchange.go_on(said(call))
    assert exchange.way is Way.CONTINUE
    assert text_of(exchange.events) == "Done."


async def test_an_agent_that_is_killed_while_parked_loses_nothing(stage: Stage) -> None:
    exchange = Exchange(stage, OSLO)
    (call,) = await exchange.go_on()
    (pid,) = stage.pids
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while pid in stage.pids:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    await exchange.go_on(said(call))
    assert exchange.way is not Way.CONTINUE
    assert text_of(exchange.events) == "Done."
    assert pairs(stage) == [
        {
            "type": "function_call",
            "call_id": call.id,
            "name": "weather",
            "arguments": '{"city":"Oslo"}',
        },
        {"type": "function_call_output", "call_id": call.id, "output": "sunny in Oslo"},
    ]


async def test_missing_results_are_told_to_the_model(stage: Stage) -> None:
    for way in (Way.CONTINUE, Way.SEED):
        exchange = Exchange(stage, OSLO, ROME)
        oslo, rome = await exchange.go_on()
        if way is Way.SEED:
            exchange._options["tool_choice"] = ToolChoice("none")
        await exchange.go_on(said(oslo))
        assert exchange.way is way
        outputs = {p["call_id"]: p["output"] for p in pairs(stage) if "output" in p}
        assert outputs == {oslo.id: "sunny in Oslo", rome.id: "no result was given"}


async def test_tools_of_two_conversations_do_not_mix(stage: Stage) -> None:
    other = replace(WEATHER, schema={"type": "object", "properties": {"day": {"type": "number"}}})
    one = Exchange(stage, OSLO)
    two = Exchange(stage, {"name": "weather", "arguments": {"day": 1}}, tools=(other,))
    (first,), (second,) = await asyncio.gather(one.go_on(), two.go_on())
    assert (first.input, second.input) == ({"city": "Oslo"}, {"day": 1})
    schemas = [turn.body["tools"][0]["parameters"] for turn in stage.provider.turns]
    assert sorted(json.dumps(schema) for schema in schemas) == sorted(
        json.dumps(schema) for schema in (SCHEMA, other.schema)
    )
    await asyncio.gather(one.go_on(said(first)), two.go_on(said(second, Text("wet"))))
    assert {pairs_of[-1] for pairs_of in map(outputs_of, stage.provider.turns[2:])} == {
        "sunny in Oslo",
        "wet",
    }


def outputs_of(request: Any) -> list[str]:
    return [i["output"] for i in request.body["input"] if i["type"] == "function_call_output"]


@pytest.mark.parametrize("name", ["exec_command", "shell_command", "mcp__a__b", "x" * 100])
async def test_names_codex_would_not_take(stage: Stage, name: str) -> None:
    probe = Exchange(stage, directive={"text": "hi"}, tools=(replace(WEATHER, name=name),))
    await probe.go_on()
    (native,) = tools_of(stage)
    assert len(native) <= 64
    call = {"name": native, "arguments": {"city": "Oslo"}}
    exchange = Exchange(stage, call, tools=(replace(WEATHER, name=name),))
    (request,) = await exchange.go_on()
    assert request.name == name
    await exchange.go_on(said(request))
    assert text_of(exchange.events) == "Done."


@pytest.mark.parametrize("name", ["apply_patch", "update_plan", "wait", "exec", "shell"])
async def test_names_of_codex_own_tools_are_the_callers_in_a_chat(stage: Stage, name: str) -> None:
    call = {"name": name, "arguments": {"city": "Oslo"}}
    exchange = Exchange(stage, call, tools=(replace(WEATHER, name=name),), model=CODE)
    (request,) = await exchange.go_on()
    assert request.name == name
    assert tools_of(stage) == [name]


async def test_schema_that_codex_does_not_take(stage: Stage) -> None:
    wrong = replace(WEATHER, schema={"type": "object", "properties": {"a": {"const": 2**64}}})
    failed = await failure(stage.pool, asked("hi", tools=(wrong,)))
    assert isinstance(failed.error, BackendRefused)
    assert failed.error.param == "tools"
    assert [warning for agent in stage.pool.crew for warning in agent.driver.warnings] == []


async def test_tools_that_must_not_be_called(stage: Stage) -> None:
    exchange = Exchange(stage, directive={"text": "hi"}, tool_choice=ToolChoice("none"))
    await exchange.go_on()
    assert tools_of(stage) == []
    exchange._options["tool_choice"] = ToolChoice()
    await exchange.go_on(Text(directed(tools=[OSLO])))
    assert exchange.way is Way.SEED
    assert tools_of(stage) == ["weather"]


async def test_leaving_a_parked_conversation_leaves_the_agent_usable(tmp_path: Path) -> None:
    async with staged(tmp_path, pool={"parked": 1}) as stage:
        for _ in range(3):
            await Exchange(stage, OSLO).go_on()
        assert stage.pool.figures().parked == 1
        assert text_of(await stage.ask("hello")) == DEFAULT_TEXT
        assert stage.provider.active == 0
        assert len(stage.pids) == 1


class TestCatalog:
    @pytest.mark.parametrize("model", [PLAIN, CODE, None])
    async def test_a_chat_has_no_tools(self, stage: Stage, model: str | None) -> None:
        await stage.ask("hello", model=model)
        body = stage.provider.turns[0].body
        assert body.get("tools", []) == []
        assert [item["type"] for item in body["input"]] == ["message"]

    async def test_switched_off(self, tmp_path: Path) -> None:
        async with staged(tmp_path, quirks={"model_catalog": False}) as stage:
            await stage.ask("hello", model=PLAIN)
            assert tools_of(stage) == ["apply_patch"]

    async def test_calls_from_javascript(self, tmp_path: Path) -> None:
        script = (
            'const all = await Promise.all(["Oslo", "Rome"].map(city => tools.weather({city})));'
            "text(all.join());"
        )
        directive = {
            "tools": [{"name": "exec", "arguments": script, "custom": True}],
            "then": {"text": "Done."},
        }
        async with staged(tmp_path, quirks={"model_catalog": False}) as stage:
            exchange = Exchange(stage, directive=directive, model=CODE)
            (one,) = await exchange.go_on()
            (two,) = await exchange.go_on(said(one))
            assert {one.input["city"], two.input["city"]} == {"Oslo", "Rome"}
            assert await exchange.go_on(said(two)) == []
            assert exchange.way is Way.CONTINUE
            assert text_of(exchange.events) == "Done."

    async def test_javascript_that_waits_no_longer(self, tmp_path: Path) -> None:
        script = '// @exec: {"yield_time_ms": 3000}\ntext(await tools.weather({city: "Oslo"}));'
        directive = {
            "tools": [{"name": "exec", "arguments": script, "custom": True}],
            "then": {"text": "too early"},
        }
        async with staged(tmp_path, quirks={"model_catalog": False}) as stage:
            exchange = Exchange(stage, directive=directive, model=CODE)
            (call,) = await exchange.go_on()
            (conversation,) = next(iter(stage.pool.crew)).conversations.values()
            while conversation.script.reusable:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
            await exchange.go_on(said(call), Text(directed(text="Done.")))
            assert exchange.way is Way.SEED
            assert text_of(exchange.events) == "Done."
            assert pairs(stage)[-1]["output"] == "sunny in Oslo"


async def test_tools_beside_codex_own(stage: Stage) -> None:
    own = {"name": "exec_command", "arguments": {"cmd": "echo from the shell"}}
    permissions = Permissions(tools=True, approval="none", sandbox="full")
    patch = replace(WEATHER, name="view_image")
    exchange = Exchange(stage, own, OSLO, tools=(WEATHER, patch), permissions=permissions)
    (call,) = await exchange.go_on()
    assert call.name == "weather"
    offered = set(tools_of(stage))
    assert {"exec_command", "weather", "view_image", "client_view_image"} <= offered
    ran = [event for event in exchange.events if isinstance(event, ToolOutput)]
    await exchange.go_on(said(call))
    ran += [event for event in exchange.events if isinstance(event, ToolOutput)]
    assert [output.output.strip() for output in ran] == ["from the shell"]
    assert text_of(exchange.events) == "Done."
    assert isinstance(exchange.events[0], Opened)


async def test_seeded_calls_of_another_agent(stage: Stage) -> None:
    history = (
        Message("user", (Text("Weather?"),)),
        Message("assistant", (ToolUse("toolu_1", "weather", {"city": "Oslo"}),)),
        Message("user", (ToolResult("toolu_1", (Text("wet"),)),)),
    )
    prompt = Prompt(backend="codex", messages=history, model=PLAIN, tools=(WEATHER,))
    assert text_of(await ask(stage.pool, prompt)) == DEFAULT_TEXT
    assert [pair["call_id"] for pair in pairs(stage)] == ["toolu_1", "toolu_1"]
