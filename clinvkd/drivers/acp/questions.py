"""The permission requests of one ACP conversation that are, or were, relayed to the caller."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from ...events import Event
from ..base import AskApproval, Json, Send
from ..jsonrpc import Peer
from .listening import Listener
from .openings import Owner
from .permissions import action_of, permission_outcome

Steps: TypeAlias = Iterator[Send | AskApproval | Event]

_CANCELLED: Json = {"outcome": {"outcome": "cancelled"}}


class Questions:
    """What the agent asked and nobody has answered yet; true as long as there is any.

    Args:
        peer: answers the agent.
    """

    def __init__(self, peer: Peer[Owner]) -> None:
        self._peer = peer
        self._open: dict[str, Json] = {}

    def __bool__(self) -> bool:
        return bool(self._open)

    def asked(self, listener: Listener, message: Json, *, cancelled: bool) -> Steps:
        """Answer a permission request, or have the caller asked.

        Args:
            message: the request as it came.
            cancelled: the turn is being interrupted, so the caller is asked nothing more.
        """
        question: Json = message["params"]
        verdict, name, events = listener.permit(question)
        if verdict == "ask" and not cancelled:
            yield from events
            self._open[str(message["id"])] = message
            yield AskApproval(str(message["id"]), action_of(question, name))
            return
        outcome = permission_outcome(question, verdict == "allow")
        yield self._peer.answer(message, _CANCELLED if verdict == "ask" else outcome)
        yield from events

    def between_turns(self, listener: Listener, message: Json, later: list[Json]) -> Iterable[Send]:
        """Answer a request that came while no turn runs; what is for the caller is put off."""
        verdict, _, _ = listener.permit(message["params"])
        if verdict == "ask":
            self._open[str(message["id"])] = message
            later.append(message)
        else:
            outcome = permission_outcome(message["params"], verdict == "allow")
            yield self._peer.answer(message, outcome)

    def decided(self, decision: Json) -> Iterable[Send]:
        """The caller, or the limit of time, decided; ACP has no place for a message."""
        message = self._open.pop(decision["question"], None)
        if message is not None:
            outcome = permission_outcome(message["params"], decision["allowed"])
            yield self._peer.answer(message, outcome)

    def cancel(self) -> Iterable[Send]:
        """Some agents end a cancelled prompt only when all they asked is answered."""
        questions, self._open = self._open, {}
        for message in questions.values():
            yield self._peer.answer(message, _CANCELLED)
