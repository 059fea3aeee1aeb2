"""Tells watchers what happens, by one clock for all of them; without watchers it does nothing."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from ..inspector import InspectedRequest
from ..keys import Caller
from ..observation import TurnEnd
from ..pool import Turn
from .state import State
from .turn import LiveTurn
from .watcher import Watcher

TICK = 0.1
"""Seconds between two moments at which watchers are told what is new."""

TEXTS = 50
"""Running turns whose text is told at every tick; of more, all are told, but less often: a watcher
gets no more than some 500 texts a second, whatever runs."""

LOOK = 5
"""Ticks between two looks at pools and agents."""


class LiveFeed:
    """What happens in the daemon right now.

    Args:
        look: gives what the daemon holds.

    Attributes:
        requests: HTTP requests being answered, those of watchers not counted.
    """

    def __init__(self, look: Callable[[], State]) -> None:
        self.requests = 0
        self._look = look
        self._turns: dict[str, LiveTurn] = {}
        self._watchers: set[Watcher] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._ticks = 0
        self._closed = False

    @property
    def turns(self) -> Mapping[str, LiveTurn]:
        """Those that run, by their ids."""
        return MappingProxyType(self._turns)

    @property
    def watched(self) -> int:
        """How many watch."""
        return len(self._watchers)

    @property
    def ticking(self) -> bool:
        """Whether its clock runs: as long as somebody watches."""
        return self._timer is not None

    def began(self, live: LiveTurn, turn: Turn) -> None:
        """A turn has found its conversation; `ended` must follow."""
        live.began(turn)
        self._turns[live.id] = live
        for watcher in self._watchers:
            watcher.started(live)

    def ended(self, live: LiveTurn, end: TurnEnd) -> None:
        """A turn has ended, or has found no conversation."""
        live.end = end
        found = self._turns.pop(live.id, None)
        for watcher in self._watchers:
            if found is None:
                watcher.started(live)
            watcher.ended(live, end)

    def request(self, request: InspectedRequest) -> None:
        """A request was answered."""
        for watcher in self._watchers:
            watcher.request(request)

    @contextmanager
    def watch(self, caller: Caller, *, once: bool = False) -> Iterator[Watcher]:
        """Watch as long as the context lasts; with `once`, only what there is now."""
        watcher = Watcher(caller, self._look(), self._turns.values())
        if once or self._closed:
            watcher.close()
        self._watchers.add(watcher)
        self.requests -= 1
        if self._timer is None:
            self._set_timer()
        try:
            yield watcher
        finally:
            self.requests += 1
            self._watchers.discard(watcher)
            if not self._watchers and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def close(self) -> None:
        """End all watching; what has happened is still told."""
        self._closed = True
        for watcher in self._watchers:
            watcher.close()

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)

    def _tick(self) -> None:
        self._set_timer()
        self._ticks += 1
        if self._ticks % LOOK == 0:
            state = self._look()
            for watcher in self._watchers:
                watcher.look(state)
        texts = self._ticks % max(1, math.ceil(len(self._turns) / TEXTS)) == 0
        for watcher in self._watchers:
            watcher.wake(texts=texts)
