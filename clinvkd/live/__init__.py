"""The live feed: what agents, turns and requests do right now, for those who watch.

It follows what happens without touching it: running turns are known, nothing is copied from them
until somebody watches, and a slow watcher misses text instead of holding anything up.
"""

from __future__ import annotations

from .events import LiveEvent, TurnEnded, TurnStarted, TurnText
from .feed import LiveFeed
from .state import AgentState, BackendState, State, state_of
from .turn import Dialect, LiveTurn
from .watcher import Watcher

__all__ = [
    "AgentState",
    "BackendState",
    "Dialect",
    "LiveEvent",
    "LiveFeed",
    "LiveTurn",
    "State",
    "TurnEnded",
    "TurnStarted",
    "TurnText",
    "Watcher",
    "state_of",
]
