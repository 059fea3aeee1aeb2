"""What Claude Code asks and the caller decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clinvkd.drivers.base import AskApproval, Json, Send, WithdrawApproval
from clinvkd.drivers.claude.permissions import refusal
from clinvkd.events import Action, Completed, Progress
from clinvkd.prompt import Permissions, Prompt

from .claude_lines import asked as prompt
from .claude_lines import question, result, script
from .playing import Played, continue_play, decided, play

ASKING = Permissions(tools=True, approval="ask")
BASH = {"command": "touch made"}


def answer(sent: Json) -> Json:
    assert sent["type"] == "control_response"
    response: Json = sent["response"]["response"]
    return {"to": sent["response"]["request_id"], **response}


class Turn:
    """A turn of an agent that may ask, fed message by message."""

    def __init__(self, asked: Prompt | None = None) -> None:
        asked = asked or prompt("do it", permissions=ASKING)
        self.script = script(asked)
        self.exchange = self.script.turn(asked)
        self.played = play(self.exchange)

    def feed(self, *messages: Json) -> Played:
        seen = len(self.played.sent)
        first, *rest = messages
        continue_play(self.exchange, self.played, first, iter(rest))
        self.new = self.played.sent[seen:]
        return self.played


def test_a_question_waits_for_the_decision_and_the_turn_goes_on() -> None:
    turn = Turn()
    asked = turn.feed(question("Bash", BASH), {"type": "tool_progress", "tool_name": "Read"})
    assert asked.asked == [
        AskApproval("q1", Action(
            tool="Bash", input=BASH, summary="Bash: touch made", options=("allow", "deny"),
            call="t",
        ))
    ]  # fmt: skip
    assert turn.new == []
    assert asked.events == [Progress("tool", "Read")]
    turn.feed(decided("q1", allowed=True))
    assert [answer(sent) for sent in turn.new] == [
        {"to": "q1", "behavior": "allow", "updatedInput": BASH}
    ]
    assert isinstance(turn.feed(result()).events[-1], Completed)


def test_a_denial_carries_its_message() -> None:
    turn = Turn()
    turn.feed(question("Bash", BASH), decided("q1", "not now", allowed=False))
    assert [answer(sent) for sent in turn.new] == [
        {"to": "q1", "behavior": "deny", "message": "not now"}
    ]


def test_several_questions_are_decided_in_any_order_and_each_once() -> None:
    turn = Turn()
    turn.feed(question("Bash", BASH, "q1"), question("Edit", {"file_path": "/a"}, "q2"))
    turn.feed(decided("q2", allowed=True), decided("q2", allowed=False))
    turn.feed(decided("q1", "no", allowed=False))
    answers = [answer(sent) for sent in turn.played.sent[-2:]]
    assert [(one["to"], one["behavior"]) for one in answers] == [("q2", "allow"), ("q1", "deny")]


def test_a_question_that_is_taken_back_is_not_answered() -> None:
    turn = Turn()
    taken = {"type": "control_cancel_request", "request_id": "q1"}
    played = turn.feed(question("Bash", BASH), taken, taken, decided("q1", allowed=True))
    assert played.asked[1:] == [WithdrawApproval("q1")]
    assert turn.new == []


def test_nobody_is_asked_after_an_interrupt_or_between_turns() -> None:
    turn = Turn()
    assert list(turn.script.interrupt())
    played = turn.feed(question("Bash", BASH))
    assert played.asked == []
    assert answer(turn.new[0])["behavior"] == "deny"
    turn.feed(result())
    (said,) = turn.script.unsolicited(question("Bash", BASH))
    assert isinstance(said, Send)
    assert answer(said.message)["behavior"] == "deny"


@pytest.mark.parametrize(
    ("sandbox", "tool", "given", "asks"),
    [
        ("default", "Write", {"file_path": "/elsewhere"}, True),
        ("read-only", "Write", {"file_path": "/work/a"}, False),
        ("read-only", "Bash", BASH, False),
        ("read-only", "WebFetch", {"url": "http://x"}, True),
        ("workspace", "Write", {"file_path": "/work/a"}, True),
        ("workspace", "Write", {"file_path": "/elsewhere"}, False),
        ("workspace", "Bash", BASH, True),
        ("full", "Write", {"file_path": "/elsewhere"}, True),
    ],
)
def test_what_the_sandbox_forbids_is_not_asked(
    sandbox: Any, tool: str, given: Json, asks: bool
) -> None:
    permissions = Permissions(tools=True, approval="ask", sandbox=sandbox)
    assert (refusal(permissions, Path("/work"), tool, given) is None) is asks
    turn = Turn(prompt("x", permissions=permissions, workdir=Path("/work")))
    played = turn.feed(question(tool, given))
    assert bool(played.asked) is asks
    assert any(isinstance(event, Progress) for event in played.events) is not asks
