"""What watchers are told, free of how it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from ..inspector import InspectedRequest
from ..observation import TurnEnd
from .state import State
from .turn import LiveTurn


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """A turn has found its conversation, or ends without one; also told of those that ran before
    somebody came to watch."""

    turn: LiveTurn


class TurnText(NamedTuple):
    """What a turn has said since this watcher was last told; of these there are many.

    Attributes:
        turn_id: its id.
        text: the last part of it.
        dropped: characters in front of `text` that this watcher does not get.
    """

    turn_id: str
    text: str
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """A turn has ended, well or badly."""

    turn: LiveTurn
    end: TurnEnd


LiveEvent: TypeAlias = State | TurnStarted | TurnText | TurnEnded | InspectedRequest
