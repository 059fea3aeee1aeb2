"""What is told of every turn once it has ended: to the metrics and to the usage ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from .errors import ClinvkError
from .events import Completed, Usage
from .pool import Turn, Way
from .prompt import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnd:
    """A turn that has ended, or that found no conversation.

    Attributes:
        client: name of the API key it was asked with; empty without one.
        model: as the agent calls it; else as it was asked for, or None.
        way: how it found its conversation; None when it found none.
        outcome: ``completed``, ``interrupted`` (the caller left), or the code of the error.
        seconds: how long it took, waiting for an agent included.
        first_text_seconds: how long until its first text; None when there was none.
        usage: its tokens; nothing unless it completed.
        cost_usd: the agent's own estimate of what it cost, or None.
    """

    backend: str
    client: str
    model: str | None
    way: Way | None
    outcome: str
    seconds: float
    first_text_seconds: float | None = None
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None

    @property
    def completed(self) -> bool:
        """Whether it ended well."""
        return self.outcome == "completed"


Observer: TypeAlias = Callable[[TurnEnd], None]
"""Is told of a turn's end before its caller is."""


@contextmanager
def observed(prompt: Prompt, observers: Iterable[Observer]) -> Iterator[Callable[[Turn], None]]:
    """Tell all `observers`, once, of the end of the turn that runs inside.

    Gives what is to be told of the turn when it has found its conversation.
    """
    began = time.monotonic()
    turns: list[Turn] = []
    told = False

    def tell(outcome: str) -> None:
        nonlocal told
        if told:
            return
        told = True
        end = _end(prompt, turns[0] if turns else None, outcome, began)
        for observer in observers:
            observer(end)

    def watch(turn: Turn) -> None:
        turns.append(turn)
        turn.when_completed.append(lambda: tell("completed"))

    try:
        yield watch
    except ClinvkError as error:
        tell(error.code)
        raise
    finally:
        failure = turns[0].failure if turns else None
        tell("interrupted" if failure is None else failure.code)


def _end(prompt: Prompt, turn: Turn | None, outcome: str, began: float) -> TurnEnd:
    completed = Completed() if turn is None or turn.completed is None else turn.completed
    first_text = None if turn is None else turn.first_text_at
    return TurnEnd(
        backend=prompt.backend,
        client=prompt.client,
        model=(None if turn is None else turn.model) or prompt.model,
        way=None if turn is None else turn.way,
        outcome=outcome,
        seconds=time.monotonic() - began,
        first_text_seconds=None if first_text is None else first_text - began,
        usage=completed.usage,
        cost_usd=completed.cost_usd,
    )
