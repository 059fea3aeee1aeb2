"""The caller's tools through an ACP agent, played without any I/O."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clinvkd.drivers.acp.client_tools import GO_ON, ClientTools, alias
from clinvkd.drivers.base import TOOL_WITHDRAWN, AnswerTool, Json
from clinvkd.errors import BackendError, BackendRefused
from clinvkd.events import Completed, Event, Request, RequestArguments, RequestStarted, TextDelta
from clinvkd.prompt import (
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

from .acp_talk import PLACE, SCRATCH, Rules, Talk, called, chunk, prompt, result, said, text, update

WEATHER = Tool("get_weather", "Weather", {"type": "object", "properties": {"city": {}}})
ADD = Tool("add", "Sum", {"type": "object", "properties": {"wait_for_previous": {}}})
MCP = {
    "protocolVersion": 1,
    "agentCapabilities": {
        "mcpCapabilities": {"http": True},
        "promptCapabilities": {"image": True},
    },
}


def announced(request: Json, identifier: str, name: str, **members: Any) -> Json:
    return update(
        request,
        sessionUpdate="tool_call",
        toolCallId=identifier,
        title=name,
        kind="other",
        **members,
    )


def talk(*command: str, replies: list[list[Any]]) -> Talk:
    """A talk with an agent that answers prompts with these messages, or what makes them."""
    waiting = iter(replies)

    def agent(request: Json) -> list[Json]:
        return [part(request) if callable(part) else part for part in next(waiting)]

    return Talk(Rules(initialize=MCP, session_prompt=agent), *command).start()


def told(name: str, number: int = 1) -> Any:
    """gemini tells of a call."""
    return lambda request: announced(request, f"mcp_clinvk_{name}__fc{number}", "shown")


def says(words: str) -> Any:
    return lambda request: chunk(request, words)


def ends(request: Json) -> Json:
    return result(request, {"stopReason": "end_turn"})


def asked(*messages: Message, tools: tuple[Tool, ...] = (WEATHER, ADD), **options: Any) -> Prompt:
    return Prompt(backend="it", messages=messages, tools=tools, **options)


def results(*given: tuple[str, str]) -> Message:
    return Message("user", tuple(ToolResult(call, (Text(words),)) for call, words in given))


QUESTION = said("user", "how is it?")
CALLING = Message("assistant", (Text("Hm."), ToolUse("call_1", "get_weather", {"city": "Oslo"})))


def calls(events: list[Event]) -> list[tuple[str, str, Json]]:
    return [(event.id, event.name, event.input) for event in events if isinstance(event, Request)]


def test_a_call_ends_the_turn_and_its_result_goes_on_with_the_same_prompt() -> None:
    one = talk(
        "gemini",
        replies=[[says("Hm."), told("get_weather"), called(1, "get_weather", city="Oslo")]],
    )
    script = one.driver.open()
    events = one.ask(script, asked(QUESTION))
    assert events[1:] == [
        TextDelta("Hm."),
        RequestStarted("call_1", "get_weather"),
        RequestArguments("call_1", '{"city":"Oslo"}'),
        Request("call_1", "get_weather", {"city": "Oslo"}),
        Completed("tool_use"),
    ]
    assert script.reusable
    assert [tool["name"] for tool in one.served] == ["get_weather", "add"]
    assert one.served[0]["inputSchema"] == WEATHER.schema
    # By a settings file, because a server given with the session has a time limit.
    assert one.last("session/new")["mcpServers"] == []
    (file,) = one.files
    assert file.data is not None
    assert str(file.path.parent.parent) == one.last("session/new")["cwd"]
    assert json.loads(file.data)["mcpServers"] == {
        "clinvk": {
            "httpUrl": PLACE["url"],
            "headers": {"Authorization": "Bearer t"},
            "timeout": 2**31 - 1,
        }
    }
    more = asked(QUESTION, CALLING, results(("call_1", "rain")))
    assert script.serves(more)
    request = next(m for m in one.sent if m["method"] == "session/prompt")
    one.incoming.extend([chunk(request, "Wet."), ends(request)])
    events = one.again(script, more)
    rain = {"content": [{"type": "text", "text": "rain"}], "isError": False}
    assert one.results == [AnswerTool("call_1", rain)]
    assert text(events) == "Wet."
    assert isinstance(events[-1], Completed)
    assert events[-1].stop_reason == "end_turn"
    assert one.methods().count("session/prompt") == 1


def test_numbers_that_json_cannot_hold_are_null_in_the_text_of_arguments() -> None:
    one = talk("gemini", replies=[[told("add"), called(1, "add", a=float("inf"), b=float("nan"))]])
    events = one.ask(one.driver.open(), asked(QUESTION))
    assert RequestArguments("call_1", '{"a":null,"b":null}') in events


def test_a_call_that_comes_before_the_text_is_told_after_it() -> None:
    one = talk(
        "opencode",
        replies=[
            [
                called(1, "get_weather", city="Oslo"),
                says("Hm."),
                lambda r: announced(r, "x", "clinvk_get_weather", status="pending"),
            ]
        ],
    )
    events = one.ask(one.driver.open(), asked(QUESTION))
    assert [type(event) for event in events[1:]] == [
        TextDelta, RequestStarted, RequestArguments, Request, Completed,
    ]  # fmt: skip


def test_calls_at_once_are_told_together_where_the_agent_makes_them_so() -> None:
    def shown(number: int) -> Any:
        return lambda r: announced(r, f"x{number}", "clinvk_get_weather")

    messages = [shown(1), called(1, "get_weather"), shown(2), called(2, "get_weather", city="Rome")]
    together = talk("opencode", replies=[[messages[0], messages[2], messages[1], messages[3]]])
    script = together.driver.open()
    events = together.ask(script, asked(QUESTION))
    assert [call for call, *_ in calls(events)] == ["call_1", "call_2"]
    given = results(("call_2", "dry"))
    request = next(m for m in together.sent if m["method"] == "session/prompt")
    together.incoming.append(ends(request))
    together.again(script, asked(QUESTION, CALLING, given))
    assert [(answer.call, answer.result["isError"]) for answer in together.results] == [
        ("call_1", True),
        ("call_2", False),
    ]
    assert together.results[0].result["content"][0]["text"] == "no result was given"


def test_an_agent_that_announces_all_calls_and_makes_one_at_a_time_is_not_waited_for() -> None:
    shown = [
        lambda r, n=number: announced(r, f"x{n}", "get_weather (clinvk MCP Server)")
        for number in (1, 2)
    ]
    one = talk("qwen", replies=[[*shown, called(1, "get_weather")]])
    script = one.driver.open()
    assert [call for call, *_ in calls(one.ask(script, asked(QUESTION)))] == ["call_1"]
    one.incoming.append(called(2, "get_weather"))
    events = one.again(script, asked(QUESTION, CALLING, results(("call_1", "rain"))))
    assert [call for call, *_ in calls(events)] == ["call_2"]
    assert [answer.call for answer in one.results] == ["call_1"]


def test_a_call_an_agent_fails_by_itself_is_nothing_the_caller_hears_of() -> None:
    failed = [
        told("get_weather"),
        lambda r: update(
            r, sessionUpdate="tool_call_update", toolCallId="mcp_clinvk_get_weather__fc1",
            status="failed",
        ),
        told("add", 2), called(1, "add"),
    ]  # fmt: skip
    one = talk("gemini", replies=[failed])
    assert calls(one.ask(one.driver.open(), asked(QUESTION))) == [("call_1", "add", {})]


def test_an_agent_that_announces_nothing_is_not_waited_for() -> None:
    one = talk("somebody", replies=[[says("Hm."), called(1, "add")]])
    assert calls(one.ask(one.driver.open(), asked(QUESTION))) == [("call_1", "add", {})]


def test_what_comes_while_the_caller_works_is_told_next() -> None:
    one = talk("opencode", replies=[[lambda r: announced(r, "x1", "clinvk_add"), called(1, "add")]])
    script = one.driver.open()
    one.ask(script, asked(QUESTION))
    request = next(m for m in one.sent if m["method"] == "session/prompt")
    late = [chunk(request, "And"), announced(request, "x2", "clinvk_add"), called(2, "add")]
    for message in late:
        assert list(script.unsolicited(message)) == []
    question = {
        "id": 7,
        "method": "session/request_permission",
        "params": {
            "sessionId": "s1",
            "toolCall": {"toolCallId": "x3", "title": "clinvk_add"},
            "options": [{"optionId": "yes", "kind": "allow_once"}],
        },
    }
    (send,) = script.unsolicited(question)
    assert send.message["result"] == {"outcome": {"outcome": "selected", "optionId": "yes"}}
    one.incoming.append(called(3, "add"))
    events = one.again(script, asked(QUESTION, CALLING, results(("call_1", "3"))))
    assert text(events) == "And"
    assert [call for call, *_ in calls(events)] == ["call_2", "call_3"]
    assert script.reusable


@pytest.mark.parametrize("how", ["withdrawn", "ended"])
def test_an_agent_that_goes_on_without_the_result_is_not_continued(how: str) -> None:
    one = talk("gemini", replies=[[told("add"), called(1, "add")]])
    script = one.driver.open()
    one.ask(script, asked(QUESTION))
    request = next(m for m in one.sent if m["method"] == "session/prompt")
    withdrawn = {"method": TOOL_WITHDRAWN, "params": {"id": "call_1"}}
    sent = list(script.unsolicited(withdrawn if how == "withdrawn" else ends(request)))
    cancelled = [send.message["method"] for send in sent]
    assert cancelled == (["session/cancel"] if how == "withdrawn" else [])
    assert not script.reusable


def test_a_parked_conversation_that_is_closed_is_cancelled() -> None:
    one = talk("gemini", replies=[[told("add"), called(1, "add")]])
    script = one.driver.open()
    one.ask(script, asked(QUESTION))
    (send,) = script.close()
    assert send.message["method"] == "session/cancel"


def test_words_of_the_user_beside_results_and_other_wishes_need_a_new_session() -> None:
    one = talk("gemini", replies=[[told("add"), called(1, "add")]])
    script = one.driver.open()
    one.ask(script, asked(QUESTION))
    given = results(("call_1", "3"))
    assert script.serves(asked(QUESTION, CALLING, given))
    words = Message("user", (*given.content, Text("and now?")))
    assert not script.serves(asked(QUESTION, CALLING, words))
    assert not script.serves(asked(QUESTION, CALLING, given, tool_choice=ToolChoice("none")))
    assert not script.serves(asked(QUESTION, CALLING, given, tool_choice=ToolChoice("required")))


def test_tools_that_may_not_be_called_are_not_offered() -> None:
    one = talk("gemini", replies=[[says("No."), ends]])
    one.ask(one.driver.open(), asked(QUESTION, tool_choice=ToolChoice("none")))
    assert one.served == []
    assert one.last("session/new")["mcpServers"] == []


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        (ToolChoice("required"), ["mcp_clinvk_get_weather", "mcp_clinvk_add"]),
        (ToolChoice("named", "add"), ["mcp_clinvk_add"]),
    ],
)
def test_gemini_can_be_made_to_call(choice: ToolChoice, names: list[str]) -> None:
    one = talk("gemini", replies=[[told("add"), called(1, "add")]])
    output = OutputSchema({"type": "object"})
    one.ask(one.driver.open(), asked(QUESTION, tool_choice=choice, output=output))
    assert one.files[-1].data is not None
    (override,) = json.loads(one.files[-1].data)["modelConfigs"]["customOverrides"]
    assert override["modelConfig"]["generateContentConfig"] == {
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": names}}
    }


def test_an_agent_that_takes_no_servers_is_told_to_the_caller() -> None:
    one = Talk(Rules(), "somebody").start()
    with pytest.raises(BackendRefused, match="takes no MCP server over HTTP") as caught:
        one.ask(one.driver.open(), asked(QUESTION))
    assert caught.value.param == "tools"
    one.ask(one.driver.open(), asked(QUESTION, tool_choice=ToolChoice("none")))


def test_conversations_with_tools_get_a_folder_each_where_servers_belong_to_it() -> None:
    one = talk("opencode", replies=[[ends], [says("Yes."), ends], [says("Yes."), ends]])
    folders = []
    with pytest.raises(BackendError, match="neither text"):
        one.ask(one.driver.open(), asked(QUESTION, tools=()))
    for _ in range(2):
        one.ask(one.driver.open(), asked(QUESTION))
        folders += [m["params"]["cwd"] for m in one.sent if m["method"] == "session/new"][-1:]
    assert len({*folders, str(one.driver.plain_folder)}) == 3
    with pytest.raises(BackendRefused, match="everybody who works there"):
        one.ask(one.driver.open(), asked(QUESTION, workdir=SCRATCH))


def test_results_of_a_lost_conversation_are_in_geminis_history() -> None:
    def load(request: Json) -> list[Json]:
        repeated = update(request, sessionUpdate="user_message_chunk", content={})
        return [repeated, result(request, {"modes": {}})]

    one = Talk(
        Rules(
            initialize=MCP, session_load=load, session_prompt=lambda r: [chunk(r, "Wet."), ends(r)]
        ),
        "gemini",
    ).start()
    events = one.ask(one.driver.open(), asked(QUESTION, CALLING, results(("call_1", "rain"))))
    assert text(events) == "Wet."
    (file,) = one.files
    assert file.data is not None
    records = [json.loads(line) for line in file.data.splitlines()]
    (call,) = records[2]["toolCalls"]
    assert (call["id"], call["name"]) == ("call_1", "mcp_clinvk_get_weather")
    assert call["result"][0]["functionResponse"]["response"] == {"output": "rain"}
    assert one.last("session/load")["mcpServers"][0]["name"] == "clinvk"
    assert one.last("session/prompt")["prompt"] == [{"type": "text", "text": GO_ON}]


def test_results_of_a_lost_conversation_are_told_in_words_to_others() -> None:
    one = talk("opencode", replies=[[says("Wet."), ends]])
    one.ask(one.driver.open(), asked(QUESTION, CALLING, results(("call_1", "rain"))))
    ((block),) = one.last("session/prompt")["prompt"]
    assert "<tool_result id='call_1'>rain</tool_result>" in block["text"]
    assert block["text"].endswith(GO_ON)


def test_an_agents_own_tools_are_no_tools_of_the_callers() -> None:
    tools = ClientTools((WEATHER,), announces=True)
    assert not tools.announced({"toolCallId": "a", "title": "get_weather"})
    assert not tools.announced({"toolCallId": "b", "title": "clinvk_get_weather; rm -rf /"})
    assert tools.announced({"toolCallId": "c", "_meta": {"toolName": "mcp__clinvk__get_weather"}})
    assert tools.announced({"toolCallId": "c", "title": "later"})


def test_a_refused_tool_of_the_agents_stays_refused_beside_the_callers() -> None:
    def question(request: Json) -> Json:
        params = {
            "sessionId": request["params"]["sessionId"],
            "toolCall": {"toolCallId": "shell-1", "title": "rm", "kind": "execute"},
            "options": [
                {"optionId": "yes", "kind": "allow_once"},
                {"optionId": "no", "kind": "reject_once"},
            ],
        }
        return {"id": 7, "method": "session/request_permission", "params": params}

    one = talk("gemini", replies=[[question, says("No."), ends]])
    one.ask(one.driver.open(), asked(QUESTION, permissions=Permissions(tools=True)))
    answer = next(m for m in one.sent if m.get("id") == 7 and "result" in m)
    assert answer["result"]["outcome"]["optionId"] == "no"


def test_long_names_are_shortened_without_collisions() -> None:
    first, second = (Tool("x" * 100 + end, "", {}) for end in "ab")
    names = {alias(tool.name) for tool in (first, second)}
    assert len(names) == 2
    assert all(len(f"mcp__clinvk__{name}") <= 63 for name in names)
    assert alias("a" * 48) == "a" * 48
    tools = ClientTools((first, second))
    (name, _) = (definition["name"] for definition in tools.definitions)
    tools.called({"id": "c", "name": name, "arguments": {}})
    assert [call.name for call in tools.due()] == [first.name]


def test_arguments_are_the_callers_own() -> None:
    tools = ClientTools((WEATHER, ADD))
    tools.called({"id": "a", "name": "get_weather", "arguments": {"wait_for_previous": True}})
    tools.called({"id": "b", "name": "add", "arguments": {"wait_for_previous": True}})
    assert [call.input for call in tools.due()] == [{}, {"wait_for_previous": True}]


def test_schemas_pass_unharmed_or_are_refused() -> None:
    (definition,) = ClientTools((Tool("f", "", {"properties": {}}),)).definitions
    assert definition["inputSchema"] == {"type": "object", "properties": {}}
    # Of a server with a tool that is not of this form agents take none at all.
    loose: Json = {"type": ["object", "null"], "properties": {"a": True, "b": False}}
    (definition,) = ClientTools((Tool("f", "", loose),)).definitions
    assert definition["inputSchema"] == {
        "type": "object",
        "properties": {"a": {}, "b": {"not": {}}},
    }
    with pytest.raises(BackendRefused, match="'f' must take an object") as caught:
        _ = ClientTools((Tool("f", "", {"type": "string"}),)).definitions
    assert caught.value.param == "tools"


@pytest.mark.parametrize(
    ("words", "structured"),
    [("42", {"result": 42}), ("[1]", {"result": [1]}), ('{"a":1}', None), ("sunny", None)],
)
def test_a_result_that_is_json_is_wrapped_for_who_reads_it(words: str, structured: Any) -> None:
    for parses in (True, False):
        tools = ClientTools((ADD,), parses=parses)
        tools.called({"id": "a", "name": "add", "arguments": {}})
        tools.due()
        ((_, given),) = tools.results([results(("a", words))])
        assert given.get("structuredContent") == (structured if parses else None)


def test_results_hold_images_and_errors() -> None:
    tools = ClientTools((ADD,))
    tools.called({"id": "a", "name": "add", "arguments": {}})
    tools.due()
    failed = ToolResult("a", (Image("image/png", "AA=="), Text("no")), is_error=True)
    ((_, given),) = tools.results([Message("user", (failed,))])
    assert given["isError"]
    assert given["content"][0] == {"type": "image", "mimeType": "image/png", "data": "AA=="}


@pytest.mark.parametrize("sandbox", ["read-only", "workspace", "default"])
def test_within_a_sandbox_an_agent_has_to_ask(sandbox: Any) -> None:
    modes = ("plan", "default", "auto-edit", "auto", "yolo")
    offered = {
        "sessionId": "s1",
        "modes": {"currentModeId": "auto", "availableModes": [{"id": mode} for mode in modes]},
    }
    one = Talk(Rules(initialize=MCP, session_new=offered), "qwen", "--acp").start()
    permissions = Permissions(tools=True, approval="none", sandbox=sandbox)
    one.ask(one.driver.open(), prompt("x", permissions=permissions))
    assert one.last("session/set_mode")["modeId"] == ("yolo" if sandbox == "default" else "default")
