"""Several prompts that run at once, as their events tell of them, and how that is shown.

A terminal shows every lane on lines that are drawn over; anything else gets each line of an
answer as it is finished, with the name of its lane before it.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from .approving import question_of, remedy_of
from .terminal import Terminal, printable
from .words import figures, first_line

if TYPE_CHECKING:
    from rich.console import RenderableType

_TAIL = 400
"""Characters of an answer that are enough for its last lines on a screen."""
_MOST_LINES = 6
"""Most lines of one lane."""
_INTERVAL = 0.125  # seconds between two drawings
_MARKS = {"waiting": " ", "running": ">", "done": "+", "failed": "!", "canceled": "-"}
_STYLES = {"running": "cyan", "done": "green", "failed": "red", "canceled": "yellow"}


@dataclass(slots=True, eq=False)
class Lane:
    """One prompt of several.

    Attributes:
        name: as people know it.
        state: ``waiting``, ``running``, ``done``, ``failed`` or ``canceled``.
        tail: the end of its answer so far.
        doing: what it does when it does not answer.
        started: on the clock of `time.monotonic`.
        summary: how it ended.
    """

    name: str
    state: str = "waiting"
    tail: str = ""
    doing: str = ""
    started: float = 0.0
    summary: str = ""
    _error: str = field(default="", repr=False)

    def feed(self, event: Mapping[str, Any]) -> None:
        """Take one of its events."""
        content = event.get("content", {})
        if self.state == "waiting":
            self.state, self.started = "running", time.monotonic()
        match event["type"]:
            case "message":
                self.tail = (self.tail + content["text"])[-_TAIL:]
                self.doing = ""
            case "thinking":
                self.doing = "thinking"
            case "tool_use":
                self.doing = f"uses {content['tool_name']}"
            case "approval_request":
                self.doing = f"{question_of(content)}; {remedy_of(content)}"
            case "approval_decision":
                self.doing = ""
            case "progress":
                self.doing = str(content.get("message") or content.get("stage") or "")
            case "error":
                self.state = "canceled" if content["code"] == "canceled" else "failed"
                self._error = content["message"]
            case "complete":
                if self.state == "running":
                    self.state = "done"
                self.summary = "; ".join(filter(None, (self._error, figures(content))))

    @property
    def ended(self) -> bool:
        """Nothing more will come of it."""
        return self.state in ("done", "failed", "canceled")


class Lanes:
    """The lanes of one request.

    Args:
        kind: ``parallel``, ``chain`` or ``compare``.
        request: the body that asked for them.
    """

    def __init__(self, kind: str, request: Mapping[str, Any]) -> None:
        self._kind = kind
        self._lanes: dict[int | str, Lane] = {}
        for index, name in enumerate(_names(kind, request)):
            self._lanes[index] = Lane(name)

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def lane_of(self, event: Mapping[str, Any]) -> Lane | None:
        """Whose an event is; None for one that is about no single lane."""
        match event:
            case {"judge": True}:
                return self._lanes.setdefault("judge", Lane("judge"))
            case {"task": int(index)} | {"index": int(index)}:
                return self._lanes.setdefault(index, Lane(str(index + 1)))
            case {"step": int(number)}:
                return self._lanes.setdefault(number - 1, Lane(str(number)))
            case _:
                return None


def _names(kind: str, request: Mapping[str, Any]) -> Iterator[str]:
    match kind:
        case "compare":
            backends = list(map(str, request.get("backends", ())))
            for index, name in enumerate(backends):
                yield name if backends.count(name) == 1 else f"{index + 1} {name}"
        case _:
            parts: Sequence[Any] = request.get("tasks" if kind == "parallel" else "steps", ())
            for index, part in enumerate(parts):
                named = isinstance(part, Mapping) and (part.get("name") or part.get("id"))
                yield f"{index + 1} {named}" if named else str(index + 1)


class Display(ABC):
    """Shows lanes as long as its context lasts."""

    def __init__(self, terminal: Terminal, lanes: Lanes) -> None:
        self._terminal = terminal
        self._lanes = lanes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    @abstractmethod
    def feed(self, event: Mapping[str, Any]) -> None:
        """Show what an event tells."""


class Nothing(Display):
    """Shows nothing."""

    def feed(self, event: Mapping[str, Any]) -> None:
        """As it says."""


class Lines(Display):
    """Finished lines of answers, each with the name of its lane, and how each lane ended.

    Args:
        write: writes one line.
    """

    def __init__(self, terminal: Terminal, lanes: Lanes, write: Callable[[str], None]) -> None:
        super().__init__(terminal, lanes)
        self._write = write
        self._begun: dict[Lane, str] = {}

    def feed(self, event: Mapping[str, Any]) -> None:
        """Write the lines that an event ends."""
        lane = self._lanes.lane_of(event)
        if lane is None:
            return
        lane.feed(event)
        if event["type"] == "message":
            *whole, begun = (self._begun.get(lane, "") + event["content"]["text"]).split("\n")
            self._begun[lane] = begun
            for line in whole:
                self._write(f"{lane.name} | {line}")
        elif event["type"] == "approval_request":
            self._terminal.report(f"{lane.name}: {lane.doing}")
        elif event["type"] == "complete":
            if begun := self._begun.pop(lane, ""):
                self._write(f"{lane.name} | {begun}")
            self._terminal.report(": ".join(filter(None, (lane.name, lane.state, lane.summary))))


class Screen(Display):
    """All lanes at once, drawn over again and again; what is left at the end is not."""

    def __enter__(self) -> Self:
        from rich.live import Live

        self._live = Live(
            console=self._terminal.console,
            auto_refresh=False,
            transient=True,
            get_renderable=self._drawn,
        )
        self._live.start()
        self._timer: asyncio.TimerHandle | None = None
        self._draw()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._live.stop()

    def feed(self, event: Mapping[str, Any]) -> None:
        """Note what it tells; the next drawing shows it."""
        lane = self._lanes.lane_of(event)
        if lane is not None:
            lane.feed(event)

    def _draw(self) -> None:
        self._live.refresh()
        self._timer = asyncio.get_running_loop().call_later(_INTERVAL, self._draw)

    def _drawn(self) -> RenderableType:
        """What runs first, then what has ended, as far as there is room."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        lanes = list(self._lanes)
        size = self._terminal.console.size
        room = max(1, size.height - 3)
        order = {"running": 0, "failed": 1, "canceled": 2, "done": 3, "waiting": 4}
        shown = lanes
        if len(lanes) > room:
            shown = sorted(lanes, key=lambda lane: order[lane.state])[:room]
        each = min(_MOST_LINES, max(1, room // max(1, len(shown))))
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, max_width=24, overflow="ellipsis")
        table.add_column(no_wrap=True, justify="right")
        table.add_column(overflow="ellipsis", no_wrap=True)
        now = time.monotonic()
        for lane in shown:
            style = _STYLES.get(lane.state, "")
            seconds = f"{now - lane.started:.0f} s" if lane.state == "running" else ""
            table.add_row(
                Text(_MARKS[lane.state], style),
                Text(printable(lane.name), style),
                seconds,
                Text(_last_lines(lane, each)),
            )
        ended = sum(lane.ended for lane in lanes)
        failed = sum(lane.state == "failed" for lane in lanes)
        count = f"{ended} of {len(lanes)} ended" + (f", {failed} failed" if failed else "")
        return Group(table, Text(count, "dim"))


def display_of(terminal: Terminal, lanes: Lanes, *, again: bool) -> Display:
    """How lanes are shown where the terminal writes.

    Args:
        again: the answers are printed once more at the end, so what is shown of them before is
            no output.
    """
    if terminal.quiet:
        return Nothing(terminal, lanes)
    if again and terminal.live:
        return Screen(terminal, lanes)
    return Lines(terminal, lanes, terminal.report if again else terminal.line)


def _last_lines(lane: Lane, most: int) -> str:
    if lane.ended:
        return first_line(printable(lane.summary))
    if lane.doing:
        return printable(first_line(lane.doing))
    lines = [line for line in printable(lane.tail).splitlines() if line.strip()]
    return "\n".join(lines[-most:])
