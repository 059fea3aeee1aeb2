"""What is told of every turn once it has ended: to the metrics and to the usage ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from .errors import ClinvkError
from .estimation import estimated_tokens
from .events import Usage
from .pool import Turn, Way
from .prompt import Prompt
from .shaping import BYTES_PER_TOKEN


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
        usage: its tokens. Of a turn that did not complete, what its agent told and for the rest an
            estimate; nothing when the agent failed before it began to answer.
        cost_usd: the agent's own estimate of what it cost, or None.
        failure: what it failed with, or None.
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
    failure: ClinvkError | None = None

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

    def tell(outcome: str, failure: ClinvkError | None = None) -> None:
        nonlocal told
        if told:
            return
        told = True
        end = _end(prompt, turns[0] if turns else None, outcome, began, failure)
        for observer in observers:
            observer(end)

    def watch(turn: Turn) -> None:
        turns.append(turn)
        turn.when_completed.append(lambda: tell("completed"))

    try:
        yield watch
    except ClinvkError as error:
        tell(error.code, error)
        raise
    finally:
        failure = turns[0].failure if turns else None
        tell("interrupted" if failure is None else failure.code, failure)


def _end(
    prompt: Prompt, turn: Turn | None, outcome: str, began: float, failure: ClinvkError | None
) -> TurnEnd:
    completed = None if turn is None else turn.completed
    first_text = None if turn is None else turn.first_text_at
    return TurnEnd(
        backend=prompt.backend,
        client=prompt.client,
        model=(None if turn is None else turn.model) or prompt.model,
        way=None if turn is None else turn.way,
        outcome=outcome,
        seconds=time.monotonic() - began,
        first_text_seconds=None if first_text is None else first_text - began,
        usage=_used(turn),
        cost_usd=None if completed is None else completed.cost_usd,
        failure=failure,
    )


def _used(turn: Turn | None) -> Usage:
    if turn is None:
        return Usage()
    if turn.completed is not None:
        return turn.completed.usage
    if turn.failure is not None and not turn.answered:
        return turn.usage  # most likely it was refused, which costs nothing
    asked = estimated_tokens(turn.prompt.system, turn.prompt.messages)
    said = sum(map(len, turn.said)) // BYTES_PER_TOKEN
    return replace(
        turn.usage,
        input_tokens=turn.usage.input_tokens or asked,
        output_tokens=max(turn.usage.output_tokens, said),
    )
