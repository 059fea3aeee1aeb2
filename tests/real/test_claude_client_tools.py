"""The claude driver with the real CLIs: tools of the caller."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from clinvkd.errors import BackendError, BackendRefused
from clinvkd.events import (
    Completed,
    Event,
    MessagesApiEvent,
    Request,
    RequestArguments,
    RequestStarted,
    TextDelta,
    ToolCall,
    ToolOutput,
)
from clinvkd.pool import Way
from clinvkd.prompt import (
    Block,
    Image,
    Message,
    OutputSchema,
    Permissions,
    Prompt,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
)
from tests.pool.stage import until
from tests.pools import text_of
from tests.providers import RecordedRequest, Reply
from tests.providers.script import ToolCall as Scripted
from tests.providers.script import in_turn

from .claude_stage import BOTH, PIXEL, Stage, collect, completed, messages, stage

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

# What the CLI itself would sort behind the other, cut, rewrite or drop.
WEATHER = Tool(
    "weather",
    "Tells the weather.\n" + "x" * 20_000,
    {
        "type": "object",
        "properties": {"city": {"type": "string", "x-hint": [1, None]}, "any": True},
        "oneOf": [{"required": ["city"]}],
        "additionalProperties": False,
    },
)
ADD = Tool("add", "Adds.", {"type": "object", "properties": {"a": {"type": "nonsense"}}})
TOOLS = (WEATHER, ADD)
DEFINITIONS = [
    {"name": tool.name, "description": tool.description, "input_schema": tool.schema}
    for tool in TOOLS
]
OSLO = {"city": "Osló", "more": [1, 2.5, {"b": None, "a": True}]}


class Talk:
    """A caller who keeps the history of one conversation."""

    def __init__(self, on: Stage, **options: Any) -> None:
        self.on = on
        self.options = options
        self.said: list[Message] = []
        self.pid = 0

    async def say(self, *blocks: Block, way: Way | None = None, **options: Any) -> list[Event]:
        """Send a message; the events of the turn."""
        self.said.append(Message("user", blocks))
        prompt = Prompt(backend="claude", messages=tuple(self.said), **(self.options | options))
        events: list[Event] = []
        async with self.on.pool.turn(prompt, 60) as turn:
            await collect(turn, events)
            self.pid = turn.conversation.agent.pid or 0
            assert way in (None, turn.way)
        self.said.append(turn.reply)
        return events


def calling(*calls: tuple[str, Any], text: str | None = None) -> Reply:
    return Reply(text=text, tools=tuple(Scripted(name, given) for name, given in calls))


def requests(events: list[Event]) -> list[Request]:
    return [event for event in events if isinstance(event, Request)]


def native(request: RecordedRequest) -> list[tuple[str, list[dict[str, Any]]]]:
    """The last call and result as the provider saw them."""
    return messages(request)[-2:]


def used(request: Request, name: str | None = None) -> dict[str, Any]:
    return {
        "type": "tool_use",
        "id": request.id,
        "name": name or request.name,
        "input": request.input,
    }


def gave(identity: str, *content: Any, **fields: Any) -> dict[str, Any]:
    return {
        "type": "tool_result",
        "tool_use_id": identity,
        "content": list(content),
        "is_error": False,
        **fields,
    }


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


@BOTH
async def test_text_and_two_calls_and_their_results(name: str, tmp_path: Path) -> None:
    script = in_turn(
        calling(("weather", OSLO), ("add", {}), text="I look."), Reply(text="It rains.")
    )
    async with stage(name, tmp_path, script) as on:
        talk = Talk(on, tools=TOOLS, system="S")
        events = await talk.say(Text("weather?"))
        first, second = requests(events)
        assert first == Request(first.id, "weather", OSLO)
        assert second == Request(second.id, "add", {})
        assert first.id.startswith("toolu_")
        assert completed(events).stop_reason == "tool_use"
        assert completed(events).usage.output_tokens == 13
        told = [
            event
            for event in events
            if isinstance(event, TextDelta | RequestStarted | RequestArguments | Request)
        ]
        pieces = [e.json for e in told if isinstance(e, RequestArguments) and e.id == first.id]
        assert len(pieces) > 1
        assert json.loads("".join(pieces)) == OSLO
        kinds = [type(event) for event in told if not isinstance(event, RequestArguments)]
        texts = kinds.count(TextDelta)
        assert kinds == [TextDelta] * texts + [RequestStarted, Request] * 2
        assert text_of(events) == "I look."
        assert not any(isinstance(event, ToolCall) for event in events)

        image = Image("image/png", PIXEL)
        answered = await talk.say(
            Text("Go on."),
            ToolResult(second.id, (), is_error=True),
            ToolResult(first.id, (Text("rain"), image)),
            way=Way.CONTINUE,
        )
        assert text_of(answered) == "It rains."
        assert completed(answered).stop_reason == "end_turn"
        one, two = on.provider.turns
    assert one.body["tools"] == DEFINITIONS
    assert two.body["tools"] == DEFINITIONS
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    assert native(two) == [
        ("assistant", [text("I look."), used(first), used(second)]),
        (
            "user",
            [
                gave(second.id, is_error=True),
                gave(first.id, text("rain"), {"type": "image", "source": source}),
                text("Go on."),
            ],
        ),
    ]


@BOTH
async def test_three_rounds_and_a_result_that_nobody_gave(name: str, tmp_path: Path) -> None:
    again = calling(("add", {"a": 1}))
    async with stage(name, tmp_path, in_turn(again, again, again, Reply(text="3"))) as on:
        talk = Talk(on, tools=TOOLS)
        (first,) = requests(await talk.say(Text("count")))
        (second,) = requests(await talk.say(ToolResult(first.id, (Text("1"),)), way=Way.CONTINUE))
        (third,) = requests(await talk.say(ToolResult(second.id, (Text("2"),)), way=Way.CONTINUE))
        assert len({first.id, second.id, third.id}) == 3
        events = await talk.say(Text("Never mind."), way=Way.CONTINUE)
        assert text_of(events) == "3"
        last = on.provider.turns[-1]
    assert len(messages(last)) == 7
    lost = {**gave(third.id, is_error=True), "content": "no result was given"}
    assert native(last)[1] == ("user", [lost, text("Never mind.")])


@BOTH
async def test_a_call_that_waited_goes_on_where_it_was(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path, in_turn(calling(("add", {})), Reply(text="sum"))) as on:
        talk = Talk(on, tools=TOOLS)
        (request,) = requests(await talk.say(Text("add")))
        await asyncio.sleep(1)
        assert len(on.provider.turns) == 1
        result = ToolResult(request.id, (Text("2"),))
        assert text_of(await talk.say(result, way=Way.CONTINUE)) == "sum"


@BOTH
async def test_an_agent_lost_while_its_call_waits_is_replaced(name: str, tmp_path: Path) -> None:
    script = in_turn(calling(("weather", OSLO), ("add", {}), text="Hm."), Reply(text="rain"))
    async with stage(name, tmp_path, script) as on:
        talk = Talk(on, tools=TOOLS)
        first, second = requests(await talk.say(Text("add")))
        os.kill(talk.pid, signal.SIGKILL)
        await until(lambda: on.pool.figures().parked == 0)
        results = (ToolResult(first.id, (Text("2"),)), ToolResult(second.id, (Text("3"),)))
        assert text_of(await talk.say(*results, way=Way.START)) == "rain"
        again = await talk.say(Text("Thanks."), way=Way.CONTINUE)
        assert text_of(again) == "rain"
        seeded = on.provider.turns[1]
    assert seeded.body["tools"] == DEFINITIONS
    assert messages(seeded) == [
        ("user", [text("add")]),
        ("assistant", [text("Hm."), used(first), used(second)]),
        ("user", [gave(first.id, text("2")), gave(second.id, text("3"))]),
    ]


@BOTH
async def test_a_history_with_calls_is_seeded(name: str, tmp_path: Path) -> None:
    history = (
        Message("user", (Text("weather?"),)),
        Message("assistant", (ToolUse("call_1", "weather", OSLO), ToolUse("call_2", "add", {}))),
        # One message for each result, as some callers write it; one result is missing.
        Message("user", (ToolResult("call_2", (Text("2"),)),)),
        Message("user", (Text("and?"),)),
        Message("assistant", (Text("Rain."),)),
    )
    async with stage(name, tmp_path) as on:
        talk = Talk(on, tools=TOOLS)
        talk.said += history
        await talk.say(Text("hi"))
        seen = messages(on.provider.turns[0])
    lost = {**gave("call_1", is_error=True), "content": "no result was given"}
    assert seen[1:3] == [
        (
            "assistant",
            [
                used(Request("call_1", "weather", OSLO)),
                used(Request("call_2", "add", {})),
            ],
        ),
        ("user", [gave("call_2", text("2")), lost, text("and?")]),
    ]


@BOTH
@pytest.mark.parametrize("given", ['{"city": ', "[1]", '"x"'])
async def test_arguments_that_are_no_object_end_the_turn(
    name: str, given: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path, in_turn(calling(("weather", given)))) as on:
        talk = Talk(on, tools=TOOLS)
        with pytest.raises(BackendError, match="called weather with what is no JSON object"):
            await talk.say(Text("weather?"))


@BOTH
async def test_a_call_without_arguments(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path, in_turn(calling(("add", "")))) as on:
        events = await Talk(on, tools=TOOLS).say(Text("add"))
        (request,) = requests(events)
        assert request.input == {}
        assert RequestArguments(request.id, "{}") in events


@BOTH
async def test_an_unknown_tool_is_the_agents_matter(name: str, tmp_path: Path) -> None:
    script = in_turn(calling(("nope", {})), calling(("nope", {}), ("add", {})), Reply(text="ok"))
    async with stage(name, tmp_path, script) as on:
        talk = Talk(on, tools=TOOLS)
        events = await talk.say(Text("add"))
        (request,) = requests(events)
        assert [event.name for event in events if isinstance(event, ToolOutput)] == ["nope"] * 2
        events = await talk.say(ToolResult(request.id, (Text("2"),)), way=Way.CONTINUE)
        assert text_of(events) == "ok"


@BOTH
async def test_two_callers_have_tools_of_the_same_name(name: str, tmp_path: Path) -> None:
    async def call(number: int, on: Stage) -> None:
        schema = {"type": "object", "properties": {f"p{number}": {"type": "string"}}}
        talk = Talk(on, tools=(Tool("same", "", schema),))
        given = {f"p{number}": f"m{number}"}
        directive = {
            "tools": [{"name": "same", "arguments": given}],
            "then": {"text": f"t{number}"},
        }
        (request,) = requests(await talk.say(Text(f"%%{json.dumps(directive)}%%")))
        assert request.input == given
        events = await talk.say(ToolResult(request.id, (Text(f"r{number}"),)), way=Way.CONTINUE)
        assert text_of(events) == f"t{number}"

    async with stage(name, tmp_path) as on:
        await asyncio.gather(call(1, on), call(2, on))
        for request in on.provider.turns:
            (tool,) = request.body["tools"]
            (number,) = (n for n in ("1", "2") if f"p{n}" in tool["input_schema"]["properties"])
            body = json.dumps(request.body["messages"])
            assert f"t{number}" in body
            assert f"t{3 - int(number)}" not in body


# Names that Claude Code has tools of; for some it adds explanations to the prompt.
ITS_OWN = ("Bash", "Agent", "Task", "Skill", "ToolSearch", "TodoWrite", "AskUserQuestion", "Edit")


@BOTH
async def test_any_name_is_the_callers(name: str, tmp_path: Path) -> None:
    names = (*ITS_OWN, "n" * 128, "mcp__other__tool", "-a-", "_", "StructuredOutput")
    tools = tuple(Tool(one, "", {}) for one in names)
    given = {"command": "cd /x && ls", "timeout": "5", "odd": [1]}
    script = in_turn(calling(*((one, given) for one in names)), Reply(text="ok"))
    async with stage(name, tmp_path, script) as on:
        talk = Talk(on, tools=tools, system="S")
        events = await talk.say(Text("go"))
        assert [(one.name, one.input) for one in requests(events)] == [(n, given) for n in names]
        results = (ToolResult(one.id, (Text("r"),)) for one in requests(events))
        assert text_of(await talk.say(*results, way=Way.CONTINUE)) == "ok"
        first, last = on.provider.turns
    assert [tool["name"] for tool in first.body["tools"]] == list(names)
    assert native(last)[0] == ("assistant", [used(one) for one in requests(events)])
    everything = json.dumps(last.body["messages"]) + json.dumps(last.body["system"])
    assert "Co-Authored-By" not in everything
    assert "agent types" not in everything


@BOTH
async def test_the_choice_of_tools_is_for_one_turn(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        talk = Talk(on, tools=TOOLS)
        await talk.say(Text("1"), tool_choice=ToolChoice("named", "add"))
        for choice in (
            ToolChoice("required", parallel=False),
            ToolChoice("none"),
            ToolChoice(parallel=False),
            ToolChoice(),
        ):
            await talk.say(Text("go"), tool_choice=choice, way=Way.CONTINUE)
        bodies = [request.body for request in on.provider.turns]
    assert [body.get("tool_choice") for body in bodies] == [
        {"type": "tool", "name": "add"},
        {"type": "any", "disable_parallel_tool_use": True},
        {"type": "none"},
        {"type": "auto", "disable_parallel_tool_use": True},
        None,
    ]
    assert [body["tools"] for body in bodies] == [DEFINITIONS] * 5
    # The older one's model could think or be forced, not both; the newer one's can do both.
    if name == "claude-old":
        thinking = [body["thinking"]["type"] for body in bodies]
        assert thinking == ["disabled", "disabled", "adaptive", "adaptive", "adaptive"]


PERSON = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


@BOTH
async def test_calls_and_then_an_answer_of_a_certain_form(name: str, tmp_path: Path) -> None:
    script = in_turn(calling(("add", {})), calling(("StructuredOutput", {"name": "Ann"})))
    async with stage(name, tmp_path, script) as on:
        talk = Talk(on, tools=TOOLS, output=OutputSchema(PERSON))
        events = await talk.say(Text("who?"))
        (request,) = requests(events)
        assert completed(events).stop_reason == "tool_use"
        assert text_of(events) == ""
        result = ToolResult(request.id, (Text("Ann"),))
        events = await talk.say(result, way=Way.CONTINUE, tool_choice=ToolChoice("none"))
        assert json.loads(text_of(events)) == {"name": "Ann"}
        first, last = on.provider.turns
    *offered, form = first.body["tools"]
    assert offered == DEFINITIONS
    assert form["input_schema"] == PERSON
    assert last.body["tools"] == [form]


GREET = Tool("greet", "Greets.", {"type": "object", "properties": {"who": {"type": "string"}}})


@BOTH
async def test_with_the_agents_own_tools_on_both_kinds_are_called(
    name: str, tmp_path: Path
) -> None:
    agents = "mcp__clinvk__greet"
    script = in_turn(
        calling(("Bash", {"command": "echo own"}), (agents, {"who": "Ann"})), Reply(text="ok")
    )
    async with stage(name, tmp_path, script) as on:
        own = Permissions(tools=True, approval="always")
        talk = Talk(on, tools=(GREET,), permissions=own, max_turns=1)
        events = await talk.say(Text("go"))
        (request,) = requests(events)
        assert request == Request(request.id, "greet", {"who": "Ann"})
        assert [event.name for event in events if isinstance(event, ToolCall)] == ["Bash"]
        (output,) = (event for event in events if isinstance(event, ToolOutput))
        assert output.output == "own"
        result = ToolResult(request.id, (Text("hi"),))
        assert text_of(await talk.say(result, way=Way.CONTINUE)) == "ok"
        first, last = on.provider.turns
    (greet,) = (tool for tool in first.body["tools"] if tool["name"] == agents)
    assert greet["input_schema"] == GREET.schema
    assert "Bash" in {tool["name"] for tool in first.body["tools"]}
    assert used(request, agents) in native(last)[0][1]
    assert gave(request.id, text("hi")) in native(last)[1][1]


@BOTH
async def test_definitions_that_the_agent_drops_are_refused(name: str, tmp_path: Path) -> None:
    broken = Tool("broken", "", {"type": "object", "required": "all"})
    async with stage(name, tmp_path) as on:
        talk = Talk(on, tools=(broken,), permissions=Permissions(tools=True))
        with pytest.raises(BackendRefused, match="definitions of these tools: broken") as caught:
            await talk.say(Text("go"))
        assert caught.value.param == "tools"


@BOTH
async def test_the_providers_own_events_have_the_callers_names(name: str, tmp_path: Path) -> None:
    agents = "mcp__clinvk__greet"
    script = in_turn(calling(("Bash", {"command": "true"}), (agents, {"who": "Ann"}), text="A"))
    async with stage(name, tmp_path, script) as on:
        own = Permissions(tools=True)
        talk = Talk(on, tools=(GREET,), permissions=own, raw_events=True)
        events = await talk.say(Text("go"))
    raw = [event.event for event in events if isinstance(event, MessagesApiEvent)]
    started = [event for event in raw if event["type"] == "content_block_start"]
    assert [event["content_block"].get("name") for event in started] == [None, "greet"]
    assert {event["index"] for event in raw if "index" in event} == {0, 2}
    (end,) = (event for event in raw if event["type"] == "message_delta")
    assert end["delta"]["stop_reason"] == "tool_use"
    first = events.index(MessagesApiEvent(started[1]))
    assert isinstance(events[first + 1], RequestStarted)


@BOTH
async def test_a_turn_left_while_the_model_calls(name: str, tmp_path: Path) -> None:
    script = in_turn(
        Reply(words=9, hold_after=9, tools=(Scripted("add", {}),)), Reply(text="later")
    )
    async with stage(name, tmp_path, script) as on:
        talk = Talk(on, tools=TOOLS)
        prompt = Prompt(backend="claude", messages=(Message("user", (Text("a"),)),), tools=TOOLS)
        async with on.pool.turn(prompt, 60):
            await on.provider.wait_for_held(1)
        await on.provider.wait_for_idle()
        events = await talk.say(Text("b"))
        assert text_of(events) == "later"
        assert isinstance(events[-1], Completed)
