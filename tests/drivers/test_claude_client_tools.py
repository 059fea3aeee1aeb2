"""The claude driver against recorded lines: tools of the caller."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clinvkd.drivers.base import Json
from clinvkd.drivers.claude import ClaudeDriver
from clinvkd.errors import BackendError, BackendRefused
from clinvkd.events import (
    Completed,
    Event,
    MessagesApiEvent,
    Opened,
    Progress,
    Request,
    RequestArguments,
    RequestStarted,
    TextDelta,
    TokenUsage,
    ToolCall,
    Usage,
)
from clinvkd.prompt import (
    Message,
    OutputSchema,
    Permissions,
    Prompt,
    Sampling,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
)

from .claude_lines import (
    BACKEND,
    INTERRUPT,
    Live,
    asked,
    block,
    called,
    ended,
    event,
    gave,
    recorded,
    requests,
    result,
    said,
    script,
    settings,
    started,
    stopped,
    text,
    user_line,
)
from .playing import Played, play

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("get_weather", "Weather of a city", CITY)
ADD = Tool("add", "Add two numbers", {"properties": {"a": {"type": "number"}}})
TOOLS = (WEATHER, ADD)
OWN = Permissions(tools=True)
DEFERRED = {"stop_reason": "tool_deferred", "terminal_reason": "tool_deferred"}
TWO_MESSAGES = Usage(input_tokens=5, output_tokens=9)


def called_for(*choice: Any, **options: Any) -> Prompt:
    """A prompt with the tools and a `ToolChoice` of these arguments."""
    return asked("go", tools=TOOLS, tool_choice=ToolChoice(*choice), **options)


def body(played: Played) -> Json:
    """What was merged into the body of the provider's requests last."""
    environments = [setting["env"] for setting in settings(played) if "env" in setting]
    sent = environments[-1]["CLAUDE_CODE_EXTRA_BODY"]
    return dict(json.loads(sent)) if sent else {}


def piece(index: int, partial: str) -> Json:
    delta = {"type": "input_json_delta", "partial_json": partial}
    return event("content_block_delta", index=index, delta=delta)


def began(
    index: int, identity: str, name: str, given: Json | None = None, parent: str | None = None
) -> Json:
    tool = {"type": "tool_use", "id": identity, "name": name, "input": given or {}}
    return event("content_block_start", parent, index=index, content_block=tool)


def done(index: int) -> Json:
    return event("content_block_stop", index=index)


def call(index: int, identity: str, name: str, *pieces: str) -> list[Json]:
    """A call as it is streamed."""
    return [
        began(index, identity, name),
        *(piece(index, partial) for partial in pieces),
        called(identity, name),
        done(index),
    ]


def hook(identity: str, name: str, number: str = "h") -> Json:
    """The agent asks whether it may call a tool."""
    request = {
        "subtype": "hook_callback",
        "callback_id": "clinvk",
        "input": {"tool_name": name, "tool_input": {}, "tool_use_id": identity},
        "tool_use_id": identity,
    }
    return {"type": "control_request", "request_id": number, "request": request}


def mcp(method: str, **fields: Any) -> Json:
    """The agent asks the MCP server."""
    message = {"jsonrpc": "2.0", "method": method, **fields}
    request = {"subtype": "mcp_message", "server_name": "clinvk", "message": message}
    return {"type": "control_request", "request_id": "m", "request": request}


def answers(played: Played) -> list[Json]:
    """What the agent's requests were answered."""
    return [
        sent["response"]["response"] for sent in played.sent if sent["type"] == "control_response"
    ]


def decided(played: Played) -> list[str | None]:
    """What the hook said."""
    return [
        answer.get("hookSpecificOutput", {}).get("permissionDecision") for answer in answers(played)
    ]


def told(played: Played) -> list[Event]:
    """What it told of the caller's tools."""
    return [
        event
        for event in played.events
        if isinstance(event, RequestStarted | RequestArguments | Request)
    ]


def test_two_calls_and_their_results_as_recorded() -> None:
    lines = recorded("09")
    end = next(index for index, line in enumerate(lines) if line["type"] == "result") + 1
    prompt = asked("weather?", tools=TOOLS, permissions=OWN, system="S")
    conversation = script()
    bound = play(conversation.bind(prompt))
    hooks = [{"matcher": "mcp__clinvk__.*", "hookCallbackIds": ["clinvk"]}]
    assert requests(bound) == [
        {
            "subtype": "initialize",
            "sdkMcpServers": ["clinvk"],
            "hooks": {"PreToolUse": hooks},
            "systemPrompt": ["S"],
        }
    ]
    played = play(conversation.turn(prompt), lines[:end])
    assert answers(played) == [
        {
            "mcp_response": {
                "jsonrpc": "2.0",
                "id": 0,
                "result": {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "clinvk", "version": "1"},
                },
            }
        },
        {"mcp_response": {"jsonrpc": "2.0", "result": {}}},
        {
            "mcp_response": {
                "jsonrpc": "2.0",
                "id": 1,
                "result": {
                    "tools": [
                        {
                            "name": tool.name,
                            "description": tool.description,
                            "inputSchema": {"type": "object", **tool.schema},
                            "_meta": {"anthropic/alwaysLoad": True},
                        }
                        for tool in TOOLS
                    ]
                },
            }
        },
        *[{"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": "defer"}}]
        * 2,
    ]
    usage = Usage(input_tokens=3566, output_tokens=7, cached_tokens=3333, cache_write_tokens=222)
    assert played.events == [
        Opened("ade9707f-2955-49c0-9a03-dd2ce16c36ce", "claude-opus-5-5"),
        Progress("requesting"),
        *(TextDelta(words) for words in ("Let", " me", " lo", "ok.")),
        RequestStarted("toolu_A", "get_weather"),
        RequestArguments("toolu_A", '{"city": "Z\\u00f'),
        RequestArguments("toolu_A", 'crich"}'),
        Request("toolu_A", "get_weather", {"city": "Zürich"}),
        RequestStarted("toolu_B", "add"),
        RequestArguments("toolu_B", '{"a": 1, "b": 2}'),
        Request("toolu_B", "add", {"a": 1, "b": 2}),
        TokenUsage(usage),
        Completed("tool_use", usage, 0.0019606),
    ]
    assert conversation.reusable

    results = (
        Text("And now?"),
        ToolResult("toolu_B", (Text("3"),)),
        ToolResult("toolu_A", (Text("22 degrees"),)),
    )
    following = Prompt(
        backend="claude", messages=(Message("user", results),), tools=TOOLS, permissions=OWN
    )
    played = play(conversation.turn(following), lines[end:])
    (sent,) = played.sent
    assert [given.get("tool_use_id") for given in sent["message"]["content"]] == [
        "toolu_B",
        "toolu_A",
        None,
    ]
    assert stopped(played).stop_reason == "end_turn"
    assert conversation.reusable


def test_a_chat_puts_the_definitions_into_the_request() -> None:
    prompt = asked("go", tools=(*TOOLS, Tool("bare", "", {})), model="opus")
    conversation = script()
    bound = play(conversation.bind(prompt))
    initialize, applied = requests(bound)
    assert initialize["hooks"] == {"PreToolUse": [{"matcher": ".*", "hookCallbackIds": ["clinvk"]}]}
    assert applied["settings"].keys() == {"includeCoAuthoredBy", "model", "env"}
    assert body(bound) == {
        "tools": [
            {"name": "get_weather", "description": "Weather of a city", "input_schema": CITY},
            {
                "name": "add",
                "description": "Add two numbers",
                "input_schema": {"type": "object", **ADD.schema},
            },
            {"name": "bare", "input_schema": {"type": "object"}},
        ]
    }
    # The agent knows them by their names alone, which is all it cannot get wrong.
    (answer,) = answers(play(conversation.turn(prompt), [mcp("tools/list", id=7)]))
    assert answer["mcp_response"]["id"] == 7
    assert answer["mcp_response"]["result"]["tools"] == [
        {"name": name, "inputSchema": {"type": "object"}} for name in ("get_weather", "add", "bare")
    ]


def test_a_chat_without_tools_is_told_nothing_of_them() -> None:
    conversation = script()
    assert play(conversation.bind(asked("hi", tool_choice=ToolChoice("none")))).sent == []
    played = play(conversation.turn(asked("hi")), [mcp("tools/list", id=7)])
    assert played.sent[-1]["response"]["subtype"] == "error"


def test_a_call_that_comes_all_the_same_is_refused() -> None:
    prompt = called_for()
    played = play(script(prompt).turn(prompt), [mcp("tools/call", id=3, params={"name": "add"})])
    (answer,) = answers(played)
    assert answer["mcp_response"]["error"]["code"] == -32601
    assert "the caller runs its tools" in answer["mcp_response"]["error"]["message"]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ((), None),
        (("none",), {"type": "none"}),
        (("none", "", False), {"type": "none"}),
        (("required",), {"type": "any"}),
        (("named", "add"), {"type": "tool", "name": "add"}),
        (("auto", "", False), {"type": "auto", "disable_parallel_tool_use": True}),
        (("required", "", False), {"type": "any", "disable_parallel_tool_use": True}),
    ],
)
def test_the_choice_of_tools(choice: tuple[Any, ...], sent: Json | None) -> None:
    prompt = called_for(*choice)
    assert body(play(script().bind(prompt))).get("tool_choice") == sent
    honoured = ClaudeDriver.abilities_for(BACKEND, prompt).tool_choice
    assert honoured == {"none", "required", "named", "parallel"}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ((), None),
        (("none",), None),
        (("required",), None),
        (("required", "", False), {"type": "auto", "disable_parallel_tool_use": True}),
        (("named", "add"), {"type": "tool", "name": "mcp__clinvk__add"}),
    ],
)
def test_the_choice_among_the_agents_own_tools(choice: tuple[Any, ...], sent: Json | None) -> None:
    prompt = called_for(*choice, permissions=OWN)
    bound = play(script().bind(prompt))
    assert ("tool_choice" in json.dumps(settings(bound))) == (sent is not None)
    if sent is not None:
        assert body(bound) == {"tool_choice": sent}
    assert ClaudeDriver.abilities_for(BACKEND, prompt).tool_choice == {"named", "parallel"}


def test_the_choice_is_taken_back() -> None:
    first = called_for("named", "add", sampling=Sampling(stop=("END",)))
    conversation = script()
    bound = play(conversation.bind(first))
    assert body(bound).keys() == {"tools", "tool_choice", "stop_sequences"}
    # A model that can be told not to think must not, to be forced.
    thinking = {"subtype": "set_max_thinking_tokens", "max_thinking_tokens": 0}
    assert requests(bound)[-1] == thinking
    play(conversation.turn(first), [result()])
    played = play(conversation.turn(called_for()), [result()])
    assert body(played).keys() == {"tools"}
    assert requests(played)[-1] == {**thinking, "max_thinking_tokens": None}


def test_thinking_that_was_asked_for_is_left_to_the_provider() -> None:
    prompt = called_for("required", sampling=Sampling(thinking_tokens=2000))
    assert requests(play(script().bind(prompt)))[-1]["max_thinking_tokens"] == 2000


FORM = OutputSchema({"type": "object"})


@pytest.mark.parametrize(
    ("mode", "offered", "choice"),
    [
        ("auto", ["get_weather", "add", "StructuredOutput"], None),
        ("none", ["StructuredOutput"], None),
        ("required", ["get_weather", "add", "StructuredOutput"], None),
    ],
)
def test_tools_beside_an_answer_of_a_certain_form(
    mode: str, offered: list[str], choice: Json | None
) -> None:
    prompt = called_for(mode, output=FORM)
    merged = body(play(script().bind(prompt)))
    assert [tool["name"] for tool in merged["tools"]] == offered
    assert merged.get("tool_choice") == choice
    honoured = ClaudeDriver.abilities_for(BACKEND, prompt).tool_choice
    assert honoured == {"none", "named", "parallel"}


def test_the_name_of_the_agents_own_answer_is_taken() -> None:
    tool = Tool("StructuredOutput", "", {})
    with pytest.raises(BackendRefused, match="StructuredOutput") as caught:
        play(script().bind(asked("go", tools=(tool,), output=FORM)))
    assert caught.value.param == "tools"
    assert play(script().bind(asked("go", tools=(tool,)))).finished


def test_a_call_ends_a_turn_that_should_have_given_a_form() -> None:
    prompt = called_for(output=FORM)
    conversation = script(prompt)
    init = {"type": "system", "subtype": "init", "tools": ["add", "StructuredOutput"]}
    lines = [init, started(), *call(0, "t", "add", "{}"), ended("tool_use"), result(**DEFERRED)]
    played = play(conversation.turn(prompt), lines)
    assert stopped(played).stop_reason == "tool_use"
    assert conversation.reusable


def test_definitions_the_agent_dropped_are_refused() -> None:
    prompt = called_for(permissions=OWN)
    init = {"type": "system", "subtype": "init", "tools": ["Bash", "mcp__clinvk__add"]}
    with pytest.raises(BackendRefused, match=r"these tools: get_weather$") as caught:
        play(script(prompt).turn(prompt), [init])
    assert caught.value.param == "tools"
    with pytest.raises(BackendRefused, match="get_weather, add"):
        play(script(prompt).turn(prompt), [{"type": "system", "subtype": "init"}])


def test_arguments_come_once_and_whole() -> None:
    prompt = called_for()
    lines = [
        started(),
        *call(0, "t1", "add", "", ""),
        began(1, "t2", "add", {"a": 1}),
        done(1),
        began(2, "t3", "add", {"ignored": 1}),
        piece(2, '{"a":'),
        piece(5, "of another block"),
        piece(2, "1e2}"),
        done(5),
        done(2),
    ]
    assert told(play(script(prompt).turn(prompt), lines)) == [
        RequestStarted("t1", "add"),
        RequestArguments("t1", "{}"),
        Request("t1", "add", {}),
        RequestStarted("t2", "add"),
        RequestArguments("t2", '{"a":1}'),
        Request("t2", "add", {"a": 1}),
        RequestStarted("t3", "add"),
        RequestArguments("t3", '{"a":'),
        RequestArguments("t3", "1e2}"),
        Request("t3", "add", {"a": 100.0}),
    ]


def test_half_a_character_in_arguments_is_replaced() -> None:
    prompt = called_for()
    lines = [started(), *call(0, "t", "add", r'{"a":"\ud8', '3d!"}'), ended("tool_use")]
    assert Request("t", "add", {"a": "\ufffd!"}) in told(play(script(prompt).turn(prompt), lines))


@pytest.mark.parametrize("given", ["[1]", '{"a', '"x"'])
def test_arguments_that_are_no_object(given: str) -> None:
    prompt = called_for()
    conversation = script(prompt)
    lines = [started(), *call(0, "t", "add", given), gave("t", "no", is_error=True)]
    with pytest.raises(BackendError, match="called add with what is no JSON object"):
        play(conversation.turn(prompt), [*lines, ended("tool_use")])
    assert not conversation.reusable


def test_a_call_cut_by_the_limit_is_no_failure() -> None:
    prompt = called_for()
    conversation = script(prompt)
    live = Live(conversation, prompt)
    live.feed(started(), *call(0, "t", "add", '{"a'), gave("t", "no", is_error=True))
    played = live.feed(ended("max_tokens"))
    assert requests(played)[-1] == INTERRUPT
    assert stopped(live.feed(result(is_error=True))).stop_reason == "max_tokens"
    assert told(played) == [RequestStarted("t", "add"), RequestArguments("t", '{"a')]
    assert not conversation.reusable


def test_an_agent_that_goes_on_without_results_is_stopped_from_telling() -> None:
    prompt = called_for()
    lines = [started(), *call(0, "t", "add"), ended("tool_use")]
    with pytest.raises(BackendError, match="went on without the results"):
        play(script(prompt).turn(prompt), [*lines, gave("t", "?"), started()])
    with pytest.raises(BackendError, match="did not wait"):
        play(script(prompt).turn(prompt), [*lines, result()])


def test_only_what_the_caller_was_told_is_put_off() -> None:
    prompt = called_for(permissions=OWN)
    conversation = script(prompt)
    add = "mcp__clinvk__add"
    lines = [
        started(),
        *call(0, "t", add),
        hook("t", add),
        began(1, "sub", add, parent="task"),
        hook("sub", add),
        hook("own", "Bash"),
    ]
    played = play(conversation.turn(prompt), lines)
    assert decided(played) == ["defer", "deny", None]
    assert [started.id for started in told(played) if isinstance(started, RequestStarted)] == ["t"]


def test_a_hook_without_a_turn_stops_the_call() -> None:
    conversation = script(called_for())
    (sent,) = conversation.unsolicited(hook("t", "add"))
    decision = sent.message["response"]["response"]["hookSpecificOutput"]
    assert decision["permissionDecision"] == "deny"
    assert "subagent" in decision["permissionDecisionReason"]


def test_calls_of_both_kinds() -> None:
    prompt = called_for(permissions=OWN, max_turns=1)
    conversation = script(prompt)
    lines = [
        started(),
        *call(0, "own", "Bash", "{}"),
        *call(1, "t", "mcp__clinvk__add", "{}"),
        ended("tool_use"),
        gave("own", "ok"),
        result(**DEFERRED),
    ]
    played = play(conversation.turn(prompt), lines)
    assert [event.id for event in played.events if isinstance(event, ToolCall)] == ["own"]
    assert stopped(played).stop_reason == "tool_use"


def test_the_providers_events_have_the_callers_names() -> None:
    prompt = called_for(permissions=OWN, raw_events=True)
    lines = [
        started(),
        block(),
        said("A"),
        done(0),
        *call(1, "own", "Bash", "{}"),
        *call(2, "t", "mcp__clinvk__add", "{}"),
        ended("tool_use"),
        started(),
    ]
    conversation = script(prompt)
    with pytest.raises(BackendError):
        play(conversation.turn(prompt), lines)
    played = play(script(prompt).turn(prompt), lines[:-1])
    raw = [event.event for event in played.events if isinstance(event, MessagesApiEvent)]
    wanted = [line["event"] for line in lines[:-1] if line["type"] == "stream_event"]
    kept = [told for told in wanted if told.get("index") != 1]
    (name,) = (told for told in kept if told.get("content_block", {}).get("type") == "tool_use")
    assert [told for told in raw if told.get("content_block", {}).get("id") != "t"] == [
        told for told in kept if told is not name
    ]
    (renamed,) = (told for told in raw if told.get("content_block", {}).get("id") == "t")
    assert renamed["content_block"]["name"] == "add"
    assert name["content_block"]["name"] == "mcp__clinvk__add"


def test_only_the_calls_of_the_agents_own_tools_are_left_out() -> None:
    prompt = asked("go", permissions=OWN, raw_events=True)
    first = [started(), *call(0, "own", "Bash", "{}"), ended("tool_use"), gave("own", "ok")]
    played = play(script(prompt).turn(prompt), [*first, started(), block(), said("A"), done(0)])
    raw = [event.event["type"] for event in played.events if isinstance(event, MessagesApiEvent)]
    assert raw == [
        "message_start",
        "message_delta",
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
    ]


LOST = {
    "type": "tool_result",
    "tool_use_id": "a",
    "content": "no result was given",
    "is_error": True,
}


def test_a_result_that_nobody_gave_is_an_error() -> None:
    prompt = called_for()
    conversation = script(prompt)
    calls = [*call(0, "a", "add"), *call(1, "b", "add"), ended("tool_use"), result(**DEFERRED)]
    play(conversation.turn(prompt), [started(), *calls])
    given = Message("user", (Text("hm"), ToolResult("b", (Text("2"),))))
    prompt = Prompt(backend="claude", messages=(given,), tools=TOOLS)
    played = play(conversation.turn(prompt), [result()])
    given_b = {
        "type": "tool_result",
        "tool_use_id": "b",
        "content": [text("2")],
        "is_error": False,
    }
    assert played.sent == [user_line(given_b, LOST, text("hm"))]
    # It is settled by that.
    played = play(conversation.turn(called_for()), [result()])
    assert played.sent == [user_line(text("go"))]


@pytest.mark.parametrize(
    ("permissions", "name"), [(Permissions(), "add"), (OWN, "mcp__clinvk__add")]
)
def test_calls_in_a_history(permissions: Permissions, name: str) -> None:
    history = (
        Message("user", (Text("1"),)),
        Message("assistant", (ToolUse("a", "add", {}), ToolUse("b", "gone", {"x": 1}))),
        Message("user", (ToolResult("b", (Text("2"),)),)),
        Message("user", (Text("3"),)),
        Message("assistant", (ToolUse("a", "add", {}),)),
    )
    prompt = asked("4", *history, tools=TOOLS, permissions=permissions)
    conversation = script(prompt)
    played = play(conversation.seed(history), [result(), result()])
    first, answered, results, again = played.sent
    assert first["shouldQuery"] is False
    assert [used["name"] for used in answered["message"]["content"]] == [name, "gone"]
    assert [given.get("tool_use_id") for given in results["message"]["content"]] == ["b", "a", None]
    assert again["type"] == "assistant"
    played = play(conversation.turn(prompt), [result()])
    assert played.sent == [user_line(LOST, text("4"))]


def test_a_turn_with_tools_can_be_rehearsed() -> None:
    driver = ClaudeDriver(BACKEND, Path("/scratch"))
    prompt = called_for("required")
    conversation = driver.open()
    bound = play(conversation.bind(prompt))
    played = play(conversation.turn(prompt))
    sent = [*bound.sent, *played.sent]
    rehearsed = [answer for line in sent if (answer := driver.rehearse(line)) is not None]
    assert len(rehearsed) == len(sent) == 4
    assert stopped(play(conversation.turn(prompt), rehearsed)).stop_reason == "end_turn"
