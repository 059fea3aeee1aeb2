"""One conversation in an agent: the turn that runs, and the caller's tools it was given."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..approvals import Relay
from ..drivers.base import Exchange, Json, Script
from ..errors import BackendError
from .play import Play
from .tool_server import Offer

if TYPE_CHECKING:
    from .agent import Agent

BACKLOG_PAUSE = 2_000
"""Undelivered events at which a process of one conversation is no longer read."""

BACKLOG_LIMIT = 200_000
"""Undelivered events at which a conversation that shares its process is given up."""


class Conversation:
    """One context inside an agent. Serves one turn at a time.

    Attributes:
        idle_since: `time.monotonic()` of the end of its last turn.
        paused: the agent is not read because the caller is slow.
    """

    def __init__(self, agent: Agent, script: Script) -> None:
        self.agent = agent
        self.script = script
        self.play: Play | None = None
        self.idle_since = time.monotonic()
        self.paused = False
        self._offer: Offer | None = None

    def begin(self, exchange: Exchange[None], relay: Relay) -> Play:
        """Start playing a turn; `relay` asks whoever owns it."""
        self.play = Play(exchange, self.agent.send, self, relay=relay)
        self.play.start()
        return self.play

    def feed(self, message: Json) -> None:
        """Give the running turn, or the script, a message of the agent."""
        play = self.play
        if play is None or play.ended:
            for send in self.script.unsolicited(message):
                self.agent.send(send.message)
            return
        play.feed(message)
        if play.backlog > BACKLOG_PAUSE:
            self._hold_back(play)

    def taken(self) -> None:
        """The waiting events were taken: read on."""
        if self.paused:
            self.paused = False
            if self.play is not None:
                self.play.progress = time.monotonic()  # its silence was ours
            self.agent.pause_reading(False)

    def interrupt(self) -> None:
        """Ask the agent to end the running turn."""
        for send in self.script.interrupt():
            self.agent.send(send.message)

    def close(self) -> None:
        """Let the agent forget it."""
        if self.play is not None:
            self.play.fail(BackendError("the conversation was closed"))
        for send in self.script.close():
            self.agent.send(send.message)
        self.withdraw_tools()
        self.agent.forget(self)

    def serve_tools(self, definitions: tuple[Json, ...]) -> Json:
        """Serve tools of the caller's to the agent; where.

        Raises:
            BackendUnavailable: nothing can be served on this machine.
        """
        self.withdraw_tools()
        self._offer = self.agent.house.tools.offer(definitions, self.feed)
        return self._offer.place

    def answer_tool(self, call: str, result: Json) -> None:
        """Give the agent the result of a call."""
        if self._offer is not None:
            self._offer.answer(call, result)

    def withdraw_tools(self) -> None:
        """Serve no tools any more; calls that wait are answered as failed."""
        if self._offer is not None:
            self._offer.close()
            self._offer = None

    def _hold_back(self, play: Play) -> None:
        if self.agent.capacity == 1:
            self.paused = True
            self.agent.pause_reading(True)
        elif play.backlog > BACKLOG_LIMIT:
            self.interrupt()
            play.fail(BackendError("the answer was not read fast enough and was given up"))
