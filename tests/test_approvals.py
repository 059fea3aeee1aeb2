"""What agents ask, and who decides it."""

from __future__ import annotations

import asyncio

import pytest

from clinvkd import approvals as approvals_module
from clinvkd.approvals import Approvals, Relay
from clinvkd.errors import Conflict, NotFound
from clinvkd.events import Action, ApprovalDecision

LONG = 600.0
ACTION = Action(tool="shell")


class Asked:
    """One turn's questions, and what was decided."""

    def __init__(self, approvals: Approvals, owner: str = "me", seconds: float = LONG) -> None:
        self.relay = Relay(approvals, owner, seconds)
        self.decisions: list[ApprovalDecision] = []
        self.decided = asyncio.Event()

    def ask(self, question: str = "q") -> str:
        return self.relay.ask(question, ACTION, self._note).id

    def _note(self, decision: ApprovalDecision) -> None:
        self.decisions.append(decision)
        self.decided.set()


async def test_a_question_is_decided_once() -> None:
    approvals = Approvals()
    turn = Asked(approvals)
    name = turn.ask()
    approvals.decide(name, "me", allowed=False, message="no")
    assert turn.decisions == [ApprovalDecision(name, False, "caller", "no")]
    with pytest.raises(Conflict, match="decided before"):
        approvals.decide(name, "me", allowed=True)
    assert len(turn.decisions) == 1


async def test_only_its_owner_decides_and_learns_that_it_exists() -> None:
    approvals = Approvals()
    turn = Asked(approvals)
    name = turn.ask()
    for _ in range(2):
        with pytest.raises(NotFound):
            approvals.decide(name, "other", allowed=True)
        turn.relay.withdraw("q")  # the second time it is open no more
    with pytest.raises(NotFound):
        approvals.decide("0" * 32, "me", allowed=True)
    name = turn.ask()
    approvals.decide(name, None, allowed=True)
    assert turn.decisions == [ApprovalDecision(name, True, "caller")]


async def test_nobody_in_time_is_a_denial() -> None:
    approvals = Approvals()
    turn = Asked(approvals, seconds=0.01)
    name = turn.ask()
    await turn.decided.wait()
    assert turn.decisions == [ApprovalDecision(name, False, "limit")]
    with pytest.raises(Conflict, match="in time"):
        approvals.decide(name, "me", allowed=True)


async def test_what_the_agent_takes_back_is_decided_by_nobody() -> None:
    approvals = Approvals()
    turn = Asked(approvals)
    name = turn.ask()
    assert turn.relay.withdraw("other") is None
    assert turn.relay.withdraw("q") == ApprovalDecision(name, False, "agent")
    assert turn.relay.withdraw("q") is None
    with pytest.raises(Conflict, match="wait"):
        approvals.decide(name, "me", allowed=True)
    assert turn.decisions == []


async def test_a_turn_that_ends_closes_its_own_questions_only() -> None:
    approvals = Approvals()
    turn, other = Asked(approvals), Asked(approvals)
    names = [turn.ask("1"), turn.ask("2")]
    kept = other.ask("1")
    turn.relay.close()
    turn.relay.close()
    for name in names:
        with pytest.raises(Conflict, match="turn has ended"):
            approvals.decide(name, "me", allowed=True)
    approvals.decide(kept, "me", allowed=True)
    assert turn.decisions == []
    assert len(other.decisions) == 1


async def test_time_counts_once_however_many_questions_are_open() -> None:
    approvals = Approvals()
    turn = Asked(approvals)
    assert turn.relay.waited == 0
    first, second = turn.ask("1"), turn.ask("2")
    before = turn.relay.waited
    approvals.decide(first, "me", allowed=True)
    assert turn.relay.waited > before
    approvals.decide(second, "me", allowed=True)
    assert turn.relay.waited == turn.relay.waited > before
    assert not turn.relay.waiting


async def test_old_questions_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals_module, "REMEMBERED", 2)
    approvals = Approvals()
    turn = Asked(approvals)
    names = [turn.ask(str(number)) for number in range(3)]
    turn.relay.close()
    with pytest.raises(NotFound):
        approvals.decide(names[0], "me", allowed=True)
    with pytest.raises(Conflict):
        approvals.decide(names[1], "me", allowed=True)
