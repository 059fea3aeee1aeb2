"""A turn as those see it who watch."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Literal, TypeAlias

from ..keys import Caller
from ..observation import TurnEnd
from ..pool import Turn
from ..prompt import Prompt

Dialect: TypeAlias = Literal["native", "openai", "anthropic"]
"""By which API something was asked."""


class LiveTurn:
    """A turn that was asked for, that runs, or that has ended.

    Attributes:
        id: unique, for this feed only.
        prompt: what was asked.
        dialect: by which API.
        session_id: our id of its session; None when it is not known before the turn has ended.
        started_at: Unix time at which it was asked for.
        turn: the turn once it has found its conversation, else None.
        said: the pieces of its text so far; it only ever grows at the end.
        end: how it ended, else None.
    """

    __slots__ = ("dialect", "end", "id", "prompt", "said", "session_id", "started_at", "turn")

    def __init__(self, prompt: Prompt, dialect: Dialect, session_id: str | None) -> None:
        self.id = secrets.token_hex(8)
        self.prompt = prompt
        self.dialect = dialect
        self.session_id = session_id
        self.started_at = time.time()
        self.turn: Turn | None = None
        self.said: Sequence[str] = ()
        self.end: TurnEnd | None = None

    def began(self, turn: Turn) -> None:
        """It has found its conversation."""
        self.turn = turn
        self.said = turn.said

    def seen_by(self, caller: Caller) -> bool:
        """Whether a caller may see it: its own, or with the scope for it everybody's."""
        return caller.sees in (None, self.prompt.client)

    @property
    def model(self) -> str | None:
        """As the agent calls it; until it has told, as it was asked for; None is its default."""
        told = None if self.turn is None else self.turn.model
        return told or self.prompt.model
