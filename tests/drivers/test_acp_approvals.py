"""What ACP agents ask and the caller decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from clinvkd.drivers.acp.permissions import verdict_of
from clinvkd.drivers.base import Json
from clinvkd.events import Completed, Event, Progress, ToolCall
from clinvkd.prompt import Permissions

from . import test_acp_client_tools as client_tools
from .acp_talk import Recording, Talk, called, plain, prompt
from .playing import decided
from .test_acp_launch import WORKDIR, call

ASKING = Permissions(tools=True, approval="ask")
OPTIONS = [
    {"optionId": "always", "name": "Always", "kind": "allow_always"},
    {"optionId": "yes", "name": "Allow", "kind": "allow_once"},
    {"optionId": "no", "name": "Reject", "kind": "reject_once"},
]


def asks(number: int, **call: Any) -> Callable[[Json], Iterable[Json]]:
    """An agent that asks and then only speaks when it is answered."""

    def rule(request: Json) -> Iterable[Json]:
        tool = {"toolCallId": "c1", "title": "shell", "kind": "execute", **call}
        session = request["params"]["sessionId"]
        params = {"sessionId": session, "options": OPTIONS, "toolCall": tool}
        yield {"id": number, "method": "session/request_permission", "params": params}

    return rule


class Turn:
    """A turn that waits for a decision."""

    def __init__(self, **call: Any) -> None:
        self.talk = plain(session_prompt=asks(40, **call))
        self.script = self.talk.driver.open()
        self.asked = prompt("x", permissions=ASKING)
        self.events: list[Event] = self.talk.play(self.script.bind(self.asked), self.script)
        self.exchange = self.script.turn(self.asked)
        assert not self.talk.resume(self.exchange, self.script, self.events)

    def answers(self) -> list[Any]:
        return [sent["result"] for sent in self.talk.sent if sent.get("id") == 40]


def sent_by(turn: Turn, message: Json) -> Json:
    step: Any = turn.exchange.send(message)
    return dict(step.message)


@pytest.mark.parametrize(("allowed", "option"), [(True, "yes"), (False, "no")])
def test_a_question_waits_for_the_decision(allowed: bool, option: str) -> None:
    turn = Turn(rawInput={"command": "touch made"})
    assert turn.answers() == []
    (question,) = turn.talk.asked
    assert question.question == "40"
    assert question.action.tool == "shell"
    assert question.action.input == {"command": "touch made"}
    assert question.action.summary == "shell: touch made"
    assert question.action.options == ("Always", "Allow", "Reject")
    assert ToolCall("c1", "shell", {"command": "touch made"}) in turn.events
    answer = sent_by(turn, decided("40", allowed=allowed))
    assert answer["result"] == {"outcome": {"outcome": "selected", "optionId": option}}
    assert not any(isinstance(event, Progress) for event in turn.events)


def test_the_person_sees_what_would_be_written_and_why() -> None:
    diff = {"type": "diff", "path": "/w/a", "oldText": None, "newText": "new"}
    note = {"type": "content", "content": {"type": "text", "text": "as you asked"}}
    turn = Turn(kind="edit", title="Writing to a", content=[diff, note])
    action = turn.talk.asked[0].action
    assert action.input == {"changes": [{"path": "/w/a", "new_text": "new"}]}
    assert action.summary == "Writing to a (as you asked)"


def test_a_recorded_question_of_gemini() -> None:
    talk = Talk(Recording("gemini/acp-permission.jsonl"), "gemini", "--acp").start()
    script = talk.driver.open()
    asked = prompt("touch", permissions=ASKING)
    talk.play(script.bind(asked), script)
    talk.play(script.turn(asked), script)
    (question,) = talk.asked
    assert question.action.tool == "run_shell_command"
    assert question.action.summary.startswith("run_shell_command: touch zz (")
    assert question.action.call == "run_shell_command__fc3_0"


def test_an_interrupt_cancels_what_is_asked_and_no_more_is_asked() -> None:
    turn = Turn()
    sent = [send.message for send in turn.script.interrupt()]
    assert [message.get("method") for message in sent] == ["session/cancel", None]
    assert sent[1]["result"] == {"outcome": {"outcome": "cancelled"}}
    (again,) = asks(41)({"params": {"sessionId": "s1"}})
    assert sent_by(turn, again)["result"] == {"outcome": {"outcome": "cancelled"}}
    assert len(turn.talk.asked) == 1


def test_a_conversation_that_is_closed_cancels_what_is_asked() -> None:
    sent = [send.message for send in Turn().script.close()]
    assert [message.get("method") for message in sent] == ["session/cancel", None]


def test_calls_of_the_callers_tools_wait_until_all_questions_are_decided() -> None:
    (own,) = asks(40)({"params": {"sessionId": "s2"}})
    one = client_tools.talk(replies=[[own, called(1, "get_weather", city="Oslo")]])
    script = one.driver.open()
    prompt = client_tools.asked(client_tools.QUESTION, permissions=ASKING)
    events = one.play(script.bind(prompt), script)
    turn = script.turn(prompt)
    assert not one.resume(turn, script, events)
    assert client_tools.calls(events) == []
    one.incoming.append(decided("40", allowed=True))
    assert one.resume(turn, script, events)
    assert events[-1] == Completed("tool_use")
    # What is asked while the caller runs its tools is for the next turn.
    assert list(script.unsolicited({**own, "id": 41})) == []
    one.again(script, client_tools.asked(client_tools.results(("call_1", "wet"))))
    assert [question.question for question in one.asked] == ["40", "41"]


@pytest.mark.parametrize(
    ("asked", "sandbox", "verdict"),
    [
        (call("execute"), "default", "ask"),
        (call("read"), "read-only", "ask"),
        (call("execute"), "read-only", "deny"),
        (call("edit", "/project/a"), "workspace", "ask"),
        (call("edit", "/etc/a"), "workspace", "deny"),
        (call("edit"), "workspace", "deny"),
        (call("execute"), "workspace", "ask"),
        (call("execute"), "full", "ask"),
    ],
)
def test_what_the_sandbox_forbids_is_not_asked(asked: Json, sandbox: Any, verdict: str) -> None:
    permissions = Permissions(tools=True, approval="ask", sandbox=sandbox)
    assert verdict_of(asked, permissions, "shell", WORKDIR) == verdict


def test_a_tool_that_is_allowed_anyway_is_not_asked() -> None:
    permissions = Permissions(tools=True, approval="ask", allowed_tools=("shell",))
    assert verdict_of(call("execute"), permissions, "shell", WORKDIR) == "allow"
