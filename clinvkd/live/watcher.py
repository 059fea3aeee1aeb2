"""One who watches: what it has been told, and what waits for it.

Text does not wait: it is taken from the turns themselves when the watcher is ready for more, so a
slow one costs no memory and gets the newest part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from ..inspector import InspectedRequest
from ..keys import Caller
from ..observation import TurnEnd
from .events import LiveEvent, TurnEnded, TurnStarted, TurnText
from .state import State
from .turn import LiveTurn

MOST_TEXT = 2048
"""Characters of a turn that are told at once; of more, the last ones."""

MOST_WAITING = 2000
"""Events, text apart, that wait for a watcher before it is given up."""


class Watcher:
    """The events for one caller, in lists: all that is new at a tick of the feed's clock.

    Iterating ends when the watcher is closed: because the daemon stops, because only the present
    was asked for, or because it is so far behind that it had better begin anew.

    Args:
        caller: sees its own turns and requests, or with the scope for it everybody's.
        state: what there is now.
        turns: those that run now.
    """

    def __init__(self, caller: Caller, state: State, turns: Iterable[LiveTurn]) -> None:
        self._caller = caller
        self._state: State | None = state  # until it was compared with what was shown
        self._shown: State | None = None
        self._waiting: list[LiveEvent] = []
        self._told: dict[LiveTurn, int] = {}
        self._woken = asyncio.Event()
        self._woken.set()
        self._texts = True
        self._closed = False
        self._over = False
        for turn in turns:
            self.started(turn)

    # For the feed.

    def started(self, turn: LiveTurn) -> None:
        """A turn has begun, or has when this watcher comes."""
        if turn.seen_by(self._caller):
            self._told[turn] = 0
            self._wait(TurnStarted(turn))

    def ended(self, turn: LiveTurn, end: TurnEnd) -> None:
        """A turn has ended; what it said last is still told."""
        told = self._told.pop(turn, None)
        if told is None:
            return
        if len(turn.said) != told:
            self._wait(_text(turn, told))
        self._wait(TurnEnded(turn, end))

    def request(self, request: InspectedRequest) -> None:
        """A request was answered."""
        if request.seen_by(self._caller):
            self._wait(request)

    def look(self, state: State) -> None:
        """What there is now."""
        self._state = state

    def wake(self, *, texts: bool = True) -> None:
        """It may take what is new, if `texts` what turns have said, too."""
        self._texts = self._texts or texts
        self._woken.set()

    def close(self) -> None:
        """Let it take what is there, and no more."""
        self._closed = True
        self.wake()

    # For the caller.

    def __aiter__(self) -> Watcher:
        return self

    async def __anext__(self) -> list[LiveEvent]:
        while not self._over:
            await self._woken.wait()
            self._woken.clear()
            self._over = self._closed
            if events := self._take():
                return events
        raise StopAsyncIteration

    def _wait(self, event: LiveEvent) -> None:
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(event)
        else:
            self.close()

    def _take(self) -> list[LiveEvent]:
        events: list[LiveEvent] = []
        if (state := self._state) is not None:
            self._state = None
            seen = state.seen_by(self._caller)
            if seen != self._shown:
                self._shown = seen
                events.append(seen)
        events += self._waiting
        self._waiting.clear()
        if not self._texts:
            return events
        self._texts = False
        for turn, told in self._told.items():
            if (length := len(turn.said)) != told:
                events.append(_text(turn, told))
                self._told[turn] = length
        return events


def _text(turn: LiveTurn, told: int) -> TurnText:
    """What it has said after the pieces that were told."""
    text = "".join(turn.said[told:])
    if (dropped := len(text) - MOST_TEXT) > 0:
        return TurnText(turn.id, text[dropped:], dropped)
    return TurnText(turn.id, text)
