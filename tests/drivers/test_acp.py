"""The ACP driver against recordings of gemini 0.61.0, opencode 1.18.33 and qwen-code 0.24.4."""

from __future__ import annotations

import pytest

from clinvkd.drivers.acp.script import AcpScript
from clinvkd.errors import (
    BackendError,
    BackendRefused,
    BackendUnavailable,
    ClinvkError,
    RateLimited,
)
from clinvkd.events import (
    Completed,
    Opened,
    Progress,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolOutput,
    Usage,
)
from clinvkd.prompt import Image, Message, Permissions, Text

from .acp_talk import TOOLS, Recording, Talk, prompt, text

SESSION = "3d1fcb66-9094-462c-af51-ae05b7b944c9"


def of_gemini(name: str) -> Talk:
    return Talk(Recording(f"gemini/{name}.jsonl"), "gemini", "--acp").start()


def test_gemini_answers_with_thoughts_and_images() -> None:
    talk = of_gemini("acp-basic")
    assert talk.driver.version == "0.61.0"
    assert talk.sent[0] == {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": 1,
            "clientCapabilities": {
                "fs": {"readTextFile": False, "writeTextFile": False},
                "terminal": False,
            },
            "clientInfo": {
                "name": "clinvk",
                "version": talk.sent[0]["params"]["clientInfo"]["version"],
            },
        },
    }
    assert talk.sent[1:] == [
        {
            "jsonrpc": "2.0",
            "id": 2,
            "method": "session/new",
            "params": {"cwd": "/scratch/chat", "mcpServers": []},
        }
    ]
    script = talk.driver.open()
    assert talk.ask(script, prompt("hi")) == [
        Opened(SESSION),
        ThinkingDelta("**Planning**\nstep"),
        TextDelta("w0xxx "),
        TextDelta("w1xxx "),
        TextDelta("w2xxx "),
        TextDelta("w3xxx "),
        Completed("end_turn", Usage(input_tokens=11921, output_tokens=4)),
    ]
    assert talk.sent[2]["params"] == {
        "sessionId": SESSION,
        "prompt": [{"type": "text", "text": "hi"}],
    }
    picture = Message("user", (Text("look"), Image("image/png", "iVBORw0KGgo=")))
    asked = prompt("ignored", Message("assistant", (Text("w0xxx w1xxx w2xxx w3xxx "),)))
    asked = type(asked)(backend="it", messages=(*asked.messages[:1], picture))
    talk.again(script, asked)
    assert talk.last("session/prompt")["prompt"] == [
        {"type": "text", "text": "look"},
        {"type": "image", "mimeType": "image/png", "data": "iVBORw0KGgo="},
    ]


@pytest.mark.parametrize(
    ("approval", "option"), [("none", "proceed_once"), ("default", "cancel"), ("always", "cancel")]
)
def test_gemini_permission_is_answered_by_kind(approval: str, option: str) -> None:
    talk = of_gemini("acp-permission")
    script = talk.driver.open()
    permissions = Permissions(tools=True, approval=approval)  # type: ignore[arg-type]
    events = talk.ask(script, prompt("touch", permissions=permissions))
    answer = next(m for m in talk.sent if "method" not in m)
    assert answer["result"] == {"outcome": {"outcome": "selected", "optionId": option}}
    assert (
        ToolCall("run_shell_command__fc3_0", "run_shell_command", {"title": "touch zz"}) in events
    )
    assert (Progress("refused", "run_shell_command") in events) == (option == "cancel")
    assert ToolOutput("run_shell_command__fc3_0", "run_shell_command", "") in events
    assert len([event for event in events if isinstance(event, ToolCall)]) == 1


def test_gemini_edit_is_allowed_by_auto_and_a_command_is_told_without_a_question() -> None:
    talk = of_gemini("acp-permission")
    permissions = Permissions(tools=True, approval="auto")
    talk.ask(script := talk.driver.open(), prompt("a", permissions=permissions))
    talk.again(script, prompt("b", permissions=permissions))
    events = talk.again(script, prompt("c", permissions=permissions))
    answer = [message for message in talk.sent if "result" in message][-1]
    assert answer["result"] == {"outcome": {"outcome": "selected", "optionId": "proceed_once"}}
    assert ToolOutput("write_file__fc7_0", "write_file", "changed /project/new.txt") in events
    events = talk.again(script, prompt("d", permissions=permissions))
    assert ToolCall("run_shell_command__fc9_0", "run_shell_command", {"title": "echo hi"}) in events


def failures(talk: Talk, script: AcpScript, count: int) -> list[ClinvkError]:
    found = []
    for index in range(count):
        with pytest.raises(ClinvkError) as caught:
            talk.ask(script, prompt("x")) if index == 0 else talk.again(script, prompt("x"))
        found.append(caught.value)
    return found


def test_gemini_errors_tell_the_truth() -> None:
    talk = of_gemini("acp-errors")
    login, model, rate, server, cut, empty, session = failures(talk, talk.driver.open(), 7)
    assert type(login) is BackendUnavailable
    assert "GEMINI_API_KEY" in login.message
    assert "fake error 401" in login.message
    assert type(model) is BackendRefused
    assert model.param == "model"
    assert type(rate) is RateLimited
    assert type(server) is BackendError
    assert type(cut) is BackendError
    assert "ended early" in cut.message
    assert type(empty) is BackendError
    assert "neither text nor tokens" in empty.message
    assert type(session) is BackendError


def test_gemini_cancel_ends_the_turn_as_interrupted() -> None:
    talk = of_gemini("acp-cancel-busy-mode")
    script = talk.driver.open()
    recorded, talk.agent = talk.agent, lambda message: ()
    exchange = script.turn(prompt("x"))
    events: list[object] = []
    assert not talk.resume(exchange, script, events)  # type: ignore[arg-type]
    talk.incoming.extend(recorded(talk.sent[-1]))
    last = talk.incoming.pop()
    assert not talk.resume(exchange, script, events)  # type: ignore[arg-type]
    told = len(events)
    assert told > 2
    assert [send.message["method"] for send in script.interrupt()] == ["session/cancel"]
    late = [m for m in recorded({"id": 0, "method": "session/prompt"}) if "method" in m]
    talk.incoming.extend([*late, last])
    assert talk.resume(exchange, script, events)  # type: ignore[arg-type]
    assert events[told:] == [Completed("interrupted")]
    assert not script.reusable


def test_opencode_counts_cached_and_thoughts_apart() -> None:
    talk = Talk(Recording("acp/opencode-basic.jsonl"), "opencode", "acp").start()
    events = talk.ask(talk.driver.open(), prompt("hi"))
    assert text(events) == "w0xxx w1xxx w2xxx w3xxx "
    assert events[-1] == Completed(
        "end_turn",
        Usage(input_tokens=7677, output_tokens=4, cached_tokens=3, reasoning_tokens=2),
    )


def test_opencode_tool_is_told_once_with_its_arguments() -> None:
    talk = Talk(Recording("acp/opencode-tool-error.jsonl"), "opencode", "acp").start()
    talk.ask(script := talk.driver.open(), prompt("warm", permissions=TOOLS))
    allowed = Permissions(tools=True, allowed_tools=("lab_get_weather",))
    events = talk.again(script, prompt("weather", permissions=allowed))
    assert next(m for m in talk.sent if "method" not in m)["result"] == {
        "outcome": {"outcome": "selected", "optionId": "once"}
    }
    assert [e for e in events if isinstance(e, ToolCall | ToolOutput)] == [
        ToolCall("call_5_0", "lab_get_weather", None),
        ToolOutput("call_5_0", "lab_get_weather", 'ok {"city": "Oslo"}'),
    ]
    with pytest.raises(ClinvkError, match="fake 401"):
        talk.again(script, prompt("e", permissions=TOOLS))


def test_qwen_leaves_its_classifier_mode_and_counts_in_the_stream() -> None:
    talk = Talk(Recording("acp/qwen-basic.jsonl"), "qwen", "--acp").start()
    recorded = talk.agent
    talk.agent = lambda m: () if m.get("method") == "session/set_mode" else recorded(m)
    events = talk.ask(talk.driver.open(), prompt("hi", model="fake-1"))
    # The model is already chosen: its listed id differs from its name.
    assert talk.methods()[2:] == ["session/set_mode", "session/prompt", "session/new"]
    assert talk.last("session/set_mode")["modeId"] == "default"
    assert events[-1] == Completed(
        "end_turn",
        Usage(input_tokens=20440, output_tokens=4, cached_tokens=3, reasoning_tokens=2),
    )


def test_qwen_requests_of_its_own_are_refused_and_its_401_is_understood() -> None:
    talk = Talk(Recording("acp/qwen-tool-error.jsonl"), "qwen", "--acp").start()
    recorded = talk.agent
    talk.agent = lambda m: () if m.get("method") == "session/set_mode" else recorded(m)
    talk.ask(script := talk.driver.open(), prompt("warm", permissions=TOOLS))
    events = talk.again(script, prompt("t", permissions=Permissions(tools=True, approval="none")))
    assert [m["error"]["code"] for m in talk.sent if "error" in m] == [-32601]
    assert [e.name for e in events if isinstance(e, ToolOutput)] == ["mcp__lab__get_weather"]
    with pytest.raises(BackendUnavailable, match="401"):
        talk.again(script, prompt("e", permissions=TOOLS))


def test_an_agent_without_a_login_does_not_start() -> None:
    with pytest.raises(BackendUnavailable, match="not logged in"):
        Talk(Recording("acp/codex-acp-not-logged-in.jsonl"), "codex-acp").start()
