"""Turns whose agent waits for a decision: their budgets, their ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from clinvkd.approvals import Approvals, Relay
from clinvkd.drivers.base import (
    APPROVAL_DECIDED,
    RECEIVE,
    AskApproval,
    Exchange,
    WithdrawApproval,
)
from clinvkd.errors import AgentExited, ClinvkError, Conflict
from clinvkd.events import Action, ApprovalDecision, ApprovalRequest, Completed, Event, TextDelta
from clinvkd.pool import Pool, Turn
from clinvkd.pool.play import Play
from clinvkd.prompt import Prompt

from ..pools import prompt
from .driver import LineScript, Many
from .stage import LONG, backend, everything, stage, told, until

ACTION = Action(tool="shell", summary="shell: rm")


class Asking(LineScript):
    """Asks as soon as the agent has said its first word; ends with the decision."""

    def turn(self, prompt: Prompt) -> Exchange[None]:
        yield self.send("turn", text=prompt.new[-1].text)
        while True:
            match (yield RECEIVE):
                case {"delta": "ask"}:
                    yield AskApproval("q", ACTION)
                case {"delta": "take back"}:
                    yield WithdrawApproval("q")
                    yield Completed("end_turn")
                    return
                case {"method": method, "params": decision} if method == APPROVAL_DECIDED:
                    yield TextDelta(f"{decision['allowed']}: {decision['message']}")
                    yield Completed("end_turn")
                    return
                case {"end": _}:
                    yield Completed("interrupted")
                    return


class AskingAgent(Many):
    def open(self) -> Any:
        name = f"asking{next(self._numbers)}"
        self.scripts[name] = Asking(name, self.scratch)
        return self.scripts[name]


def asks() -> Prompt:
    return prompt(told(text="ask", then="hang"))


@asynccontextmanager
async def asking(pool: Pool) -> AsyncIterator[tuple[Turn, ApprovalRequest]]:
    """A turn whose agent has asked."""
    async with pool.turn(asks(), LONG) as turn:
        (request,) = await anext(turn)
        assert isinstance(request, ApprovalRequest)
        yield turn, request


async def test_the_decision_is_told_and_given_to_the_agent(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path, AskingAgent) as pool, asking(pool) as (turn, request):
        assert request.action == ACTION
        approvals = turn.conversation.agent.house.approvals
        decision = approvals.decide(request.id, "", allowed=False, message="no")
        events: list[Event] = []
        await everything(turn, events)
        assert events == [decision, TextDelta("False: no"), Completed("end_turn")]


async def test_no_budget_runs_while_somebody_is_asked(tmp_path: Path) -> None:
    limits = backend(idle_timeout_secs=2, first_byte_timeout_secs=2, approval_timeout_secs=2.5)
    async with stage(limits, tmp_path, AskingAgent) as pool, pool.turn(asks(), 2) as turn:
        events: list[Event] = []
        await everything(turn, events)
        request, decision, said, _ = events
        assert isinstance(request, ApprovalRequest)
        assert decision == ApprovalDecision(request.id, False, "limit")
        assert isinstance(said, TextDelta)
        assert "in time" in said.text
        assert turn.seconds > 2.5


async def test_an_agent_that_waits_no_more_closes_the_question(tmp_path: Path) -> None:
    both = prompt(told(text="ask", then="hang"))
    async with stage(backend(), tmp_path, AskingAgent) as pool, pool.turn(both, LONG) as turn:
        (request,) = await anext(turn)
        assert isinstance(request, ApprovalRequest)
        turn.conversation.feed({"delta": "take back"})
        events: list[Event] = []
        await everything(turn, events)
        assert events == [ApprovalDecision(request.id, False, "agent"), Completed("end_turn")]


async def test_who_leaves_decides_nothing_any_more(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path, AskingAgent) as pool:
        async with asking(pool) as (turn, request):
            approvals = turn.conversation.agent.house.approvals
        [agent] = pool.crew
        await until(lambda: not agent.conversations)
        with pytest.raises(Conflict, match="turn has ended"):
            approvals.decide(request.id, "", allowed=True)


async def test_an_agent_that_dies_closes_the_question(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path, AskingAgent) as pool, asking(pool) as (turn, request):
        await turn.conversation.agent.stop()
        with pytest.raises(AgentExited):
            await everything(turn, [])
        approvals = turn.conversation.agent.house.approvals
        with pytest.raises(ClinvkError, match="turn has ended"):
            approvals.decide(request.id, "", allowed=True)


async def test_nobody_is_asked_once_nobody_reads() -> None:
    answers: list[Any] = []

    def exchange() -> Exchange[None]:
        yield RECEIVE
        yield AskApproval("q", ACTION)
        answers.append((yield RECEIVE))

    relay = Relay(Approvals(), "", LONG)
    play = Play(exchange(), lambda message: None, relay=relay)
    play.start()
    play.abandon()
    play.feed({})
    assert play.ended
    (answer,) = answers
    assert (answer["params"]["question"], answer["params"]["allowed"]) == ("q", False)
    assert not relay.waiting
