"""What codex asks and the caller decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clinvkd.drivers.base import AskApproval, Json, WithdrawApproval
from clinvkd.events import Action, Completed, ToolOutput
from clinvkd.prompt import Permissions, Prompt, Tool

from .codex_talk import Recording, Talk, agent, asked, done, item, notice, running
from .playing import Played, decided

ASKING = agent(approval="ask")
COMMAND = "/bin/bash -lc 'touch /project/esc && ls'"
WEATHER = Tool("weather", "Tells the weather.", {"type": "object", "properties": {}})


def command(**fields: Any) -> Json:
    return {"id": 7, **notice("item/commandExecution/requestApproval", itemId="c1", **fields)}


def change(*paths: str, root: str | None = None) -> tuple[Json, Json]:
    """A change of files that codex tells, and then asks about."""
    changes = [{"path": path, "kind": {"type": "add"}, "diff": "x"} for path in paths]
    begun = item("started", "fileChange", "c1", changes=changes)
    question = notice("item/fileChange/requestApproval", itemId="c1", reason=None, grantRoot=root)
    return begun, {"id": 7, **question}


def recorded(number: int, *, allowed: bool) -> Played:
    """A recorded turn up to its question, the decision, and the rest of the turn."""
    recording = Recording("approvals")
    talk = Talk()
    talk.bind(asked(permissions=ASKING), recording.thread(number))
    messages = recording.turn(number)
    place = next(i for i, message in enumerate(messages) if "id" in message)
    question = str(messages[place]["id"])
    messages.insert(place + 1, decided(question, allowed=allowed))
    return talk.play(talk.script.turn(asked(permissions=ASKING)), messages)


def test_a_command_that_is_allowed_runs() -> None:
    played = recorded(0, allowed=True)
    action = Action(
        tool="command_execution",
        input={"command": COMMAND, "cwd": "/project"},
        summary=f"command_execution: {COMMAND} (need write)",
        options=("accept", "acceptWithExecpolicyAmendment", "cancel"),
        call="call_26bc66b5",
    )
    assert played.asked == [AskApproval("0", action)]
    assert played.sent[-1] == {"id": 0, "result": {"decision": "accept"}}
    assert ToolOutput("call_26bc66b5", "command_execution", "README.md\na.png\nesc\nnew.txt\n") in (
        played.events
    )


def test_a_change_of_files_that_is_denied_is_declined() -> None:
    played = recorded(3, allowed=False)
    (asked_for,) = played.asked
    assert isinstance(asked_for, AskApproval)
    assert asked_for.action.tool == "file_change"
    assert asked_for.action.input == {
        "changes": [{"path": "/project/p1.txt", "kind": {"type": "add"}, "diff": "hello\n"}]
    }
    assert played.sent[-1] == {"id": 3, "result": {"decision": "decline"}}


def answered(request: Json, *, allowed: bool) -> Any:
    played = running(
        Talk(), asked(permissions=ASKING), request, decided(str(request["id"]), allowed=allowed)
    )
    assert len(played.asked) == 1
    return played.sent[-1]["result"]


@pytest.mark.parametrize("allowed", [True, False])
def test_a_tool_of_an_mcp_server(allowed: bool) -> None:
    about = {"codex_approval_kind": "mcp_tool_call", "tool_name": "rain", "tool_params": {"a": 1}}
    method = "mcpServer/elicitation/request"
    request = {"id": 0, **notice(method, serverName="s", message="May it?", _meta=about)}
    result = answered(request, allowed=allowed)
    assert result == (
        {"action": "accept", "content": {}} if allowed else {"action": "decline", "content": None}
    )
    form = {**request, "params": {**request["params"], "_meta": None}}
    played = running(Talk(), asked(permissions=ASKING), form)
    assert (played.asked, played.sent[-1]["result"]["action"]) == ([], "decline")


@pytest.mark.parametrize("allowed", [True, False])
def test_more_rights_for_the_turn(allowed: bool) -> None:
    wanted = {"network": {"enabled": True}}
    request = {"id": 0, **notice("item/permissions/requestApproval", permissions=wanted)}
    result = answered(request, allowed=allowed)
    assert result == {"permissions": wanted if allowed else {}, "scope": "turn"}


def test_a_question_that_codex_takes_back_is_not_answered() -> None:
    talk = Talk()
    resolved = notice("serverRequest/resolved", requestId=7)
    played = running(talk, asked(permissions=ASKING), command(), resolved, resolved)
    assert played.asked[1:] == [WithdrawApproval("7")]
    assert played.sent[-1]["method"] == "turn/start"


def test_nobody_is_asked_after_an_interrupt_or_between_turns() -> None:
    talk = Talk()
    prompt = asked(permissions=ASKING)
    talk.bind(prompt)
    turn = talk.script.turn(prompt)
    talk.play(turn, [notice("turn/started", turn={"id": "u"})])
    assert list(talk.script.interrupt())
    played = talk.resume(turn, command())
    assert played.asked == []
    assert played.sent == [{"id": 7, "result": {"decision": "decline"}}]
    talk.resume(turn, done("interrupted"))
    (refused,) = talk.script.unsolicited(command())
    assert refused.message["result"] == {"decision": "decline"}


def test_calls_of_the_callers_tools_wait_until_all_questions_are_decided() -> None:
    prompt = asked(permissions=ASKING, tools=(WEATHER,))
    call = {"threadId": "t", "turnId": "u", "callId": "w", "tool": "weather", "arguments": {}}
    talk = Talk()
    talk.bind(prompt)
    turn = talk.script.turn(prompt)
    begun = notice("turn/started", turn={"id": "u"})
    played = talk.play(
        turn, [begun, command(), {"id": 8, "method": "item/tool/call", "params": call}]
    )
    assert not any(isinstance(event, Completed) for event in played.events)
    after = talk.resume(turn, decided("7", allowed=True))
    assert after.events[-1] == Completed(stop_reason="tool_use")
    # What is asked while the caller runs its tools is for the next turn.
    assert list(talk.script.unsolicited({**command(), "id": 9})) == []


CONFINED = [
    ("read-only", command(command="x"), None, False),
    ("workspace", command(command="x"), None, True),
    ("default", change("/etc/a")[1], change("/etc/a")[0], True),
    ("workspace", change("/project/a", "b")[1], change("/project/a", "b")[0], True),
    ("workspace", change("/project/../a")[1], change("/project/../a")[0], False),
    ("workspace", change("/etc/a")[1], change("/etc/a")[0], False),
    ("workspace", change("a", root="/etc")[1], change("a")[0], False),
    ("workspace", change("a")[1], None, False),
    ("workspace", {"id": 7, **notice("item/permissions/requestApproval")}, None, False),
]


@pytest.mark.parametrize(("sandbox", "question", "begun", "asks"), CONFINED)
def test_what_the_sandbox_forbids_is_not_asked(
    sandbox: Any, question: Json, begun: Json | None, asks: bool
) -> None:
    permissions = Permissions(tools=True, approval="ask", sandbox=sandbox)
    prompt: Prompt = asked(permissions=permissions, workdir=Path("/project"))
    played = running(Talk(), prompt, *([begun] if begun else []), question)
    assert bool(played.asked) is asks
    assert ("result" in played.sent[-1]) is not asks
