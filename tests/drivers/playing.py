"""Plays exchanges against recorded messages, without an event loop."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from clinvkd.drivers.base import (
    APPROVAL_DECIDED,
    AnswerTool,
    AskApproval,
    Exchange,
    Json,
    Receive,
    RunProgram,
    Send,
    ServeTools,
    WithdrawApproval,
    WriteFile,
)
from clinvkd.events import Event

TRANSCRIPTS = Path(__file__).parent.parent / "transcripts"

_T = TypeVar("_T")


@dataclass
class Played:
    """What an exchange did with the messages it was given.

    Attributes:
        sent: messages it wrote, in order.
        events: what it told the caller, in order.
        files: files it wanted written.
        commands: arguments it wanted the agent's program run with.
        asked: what it wanted the caller asked, or not any more.
        finished: False when it still waits for a message.
        result: what it returned.
    """

    sent: list[Json] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    files: list[WriteFile] = field(default_factory=list)
    commands: list[tuple[str, ...]] = field(default_factory=list)
    asked: list[AskApproval | WithdrawApproval] = field(default_factory=list)
    finished: bool = False
    result: Any = None


def play(
    exchange: Exchange[_T], incoming: Iterable[Json | None] = (), printed: bytes | None = None
) -> Played:
    """Play `exchange` to its end or until `incoming` runs out. Its own errors pass through.

    A None in `incoming` is a silence longer than the exchange waits.

    `printed` is what a program says that it wants run; None: it failed.
    """
    played = Played()
    continue_play(exchange, played, None, iter(incoming), printed)
    return played


def continue_play(
    exchange: Exchange[_T],
    played: Played,
    value: Json | bytes | None,
    incoming: Iterator[Json | None],
    printed: bytes | None = None,
) -> None:
    """Step an exchange that waits, giving it `value` and then what `incoming` has."""
    while True:
        try:
            step = exchange.send(value)
        except StopIteration as stop:
            played.finished, played.result = True, stop.value
            return
        value = None
        if isinstance(step, Receive):
            try:
                value = next(incoming)
            except StopIteration:
                return
            assert value is not None or step.within is not None, "it waits for ever"
        elif isinstance(step, Send):
            played.sent.append(step.message)
        elif isinstance(step, WriteFile):
            played.files.append(step)
        elif isinstance(step, RunProgram):
            played.commands.append(step.arguments)
            value = printed
        elif isinstance(step, AskApproval | WithdrawApproval):
            played.asked.append(step)
        else:
            assert not isinstance(step, ServeTools | AnswerTool), "no driver here serves tools"
            played.events.append(step)


def decided(question: str, message: str = "", *, allowed: bool) -> Json:
    """The message for a decision of the caller's."""
    params = {"question": question, "allowed": allowed, "message": message}
    return {"method": APPROVAL_DECIDED, "params": params}


def lines(path: Path) -> list[Any]:
    """The JSON values of a transcript, one a line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
