"""Questions of agents whether they may act, from the moment they are asked to their decision.

`Approvals` holds those of the whole daemon under ids that cannot be guessed; a `Relay` asks for
one turn. Whoever owns the turn decides; no decision in time is a denial.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from .errors import Conflict, NotFound
from .events import Action, ApprovalDecision, ApprovalRequest

REMEMBERED = 1000
"""Questions that are open no more and still known, so that a late answer is told why it fails."""

Decided: TypeAlias = Callable[[ApprovalDecision], None]
"""Takes a decision; must not raise."""


@dataclass(frozen=True, slots=True)
class _Open:
    owner: str
    decided: Decided
    limit: asyncio.TimerHandle


@dataclass(frozen=True, slots=True)
class _Closed:
    owner: str
    why: str


class Approvals:
    """All questions that wait for a decision, and the last of those that do so no more."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        self._closed: OrderedDict[str, _Closed] = OrderedDict()

    def ask(self, action: Action, owner: str, seconds: float, decided: Decided) -> ApprovalRequest:
        """Open a question; `decided` is called once, unless it is closed before.

        Args:
            owner: name of the client that may decide.
            seconds: after which it is denied.
        """
        name = secrets.token_hex(16)
        limit = asyncio.get_running_loop().call_later(seconds, self._expire, name)
        self._open[name] = _Open(owner, decided, limit)
        return ApprovalRequest(name, action, time.time() + seconds)

    def decide(
        self, name: str, owner: str | None, *, allowed: bool, message: str | None = None
    ) -> ApprovalDecision:
        """Decide an open question.

        Args:
            name: id of the `ApprovalRequest`.
            owner: whose questions may be decided; None for everybody's.
            message: for the agent.

        Raises:
            NotFound: there is no such question, or it is another's.
            Conflict: it is open no more.
        """
        found = self._open.get(name) or self._closed.get(name)
        if found is None or owner not in (None, found.owner):
            raise NotFound("there is no such approval", param="approval")
        if isinstance(found, _Closed):
            raise Conflict(found.why, param="approval")
        decision = ApprovalDecision(name, allowed, "caller", message)
        self.close(name, "it was decided before")
        found.decided(decision)
        return decision

    def close(self, name: str, why: str) -> None:
        """Take an open question back; whoever decides it from now on is told `why` that fails."""
        question = self._open.pop(name)
        question.limit.cancel()
        self._closed[name] = _Closed(question.owner, why)
        if len(self._closed) > REMEMBERED:
            self._closed.popitem(last=False)

    def _expire(self, name: str) -> None:
        decided = self._open[name].decided
        self.close(name, "it was denied because nobody had decided in time")
        decided(ApprovalDecision(name, allowed=False, by="limit"))


class Relay:
    """Asks whoever owns one turn.

    Args:
        approvals: where the questions stand.
        owner: name of the client that may decide.
        seconds: after which a question is denied.
    """

    def __init__(self, approvals: Approvals, owner: str, seconds: float) -> None:
        self._approvals = approvals
        self._owner = owner
        self._seconds = seconds
        self._open: dict[str, str] = {}
        self._since = 0.0
        self._waited = 0.0

    @property
    def waiting(self) -> bool:
        """Whether a question is open."""
        return bool(self._open)

    @property
    def waited(self) -> float:
        """Seconds so far in which any question was open."""
        return self._waited + (time.monotonic() - self._since if self._open else 0.0)

    def ask(self, question: str, action: Action, decided: Decided) -> ApprovalRequest:
        """Open a question; `decided` is called once, unless it is withdrawn or the relay closed.

        Args:
            question: how whoever asks calls it; not one that is open.
        """

        def settled(decision: ApprovalDecision) -> None:
            self._forget(question)
            decided(decision)

        request = self._approvals.ask(action, self._owner, self._seconds, settled)
        if not self._open:
            self._since = time.monotonic()
        self._open[question] = request.id
        return request

    def withdraw(self, question: str) -> ApprovalDecision | None:
        """The agent waits for it no more; None when it is not open."""
        if question not in self._open:
            return None
        name = self._forget(question)
        self._approvals.close(name, "the agent does not wait for it any more")
        return ApprovalDecision(name, allowed=False, by="agent")

    def close(self) -> None:
        """The turn is over: what is open is decided by nobody."""
        for question in list(self._open):
            self._approvals.close(self._forget(question), "its turn has ended")

    def _forget(self, question: str) -> str:
        name = self._open.pop(question)
        if not self._open:
            self._waited += time.monotonic() - self._since
        return name
