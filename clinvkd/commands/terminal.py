"""What commands write: answers to standard output, all that is about them to standard error."""

from __future__ import annotations

import json
import os
import sys
from functools import cached_property
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_WIDE = 10_000
"""Columns of a "screen" that is a file: nothing is cut or wrapped there."""

_CONTROL = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)])


def printable(text: str) -> str:
    """A text without control characters: whoever wrote it does not command the terminal."""
    return text.translate(_CONTROL)


def open_missing_streams() -> None:
    """Have the standard streams that nobody opened lead nowhere, where Python has None for them.

    Called before anything else is opened: each then gets the lowest free number, its own.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open(mode, encoding="utf-8", errors="replace")  # noqa: SIM115
            setattr(sys, name, nowhere)


class Terminal:
    """The two outputs of a command.

    Args:
        color: whether colours are wanted where a terminal can show them.
        quiet: write answers and errors only.

    Attributes:
        live: standard output is a terminal on which lines can be drawn over.
    """

    def __init__(self, *, color: bool = True, quiet: bool = False) -> None:
        self._color = color
        self.quiet = quiet
        capable = os.environ.get("TERM", "") not in ("", "dumb")
        self.live = capable and sys.stdout.isatty()
        self._notes = sys.stderr.isatty() and not quiet
        self._begun = False
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # any answer can be written anywhere

    @cached_property
    def console(self) -> Console:
        """Standard output as rich sees it; texts are never taken as markup."""
        from rich.console import Console

        class Piped(Console):
            def on_broken_pipe(self) -> None:
                raise  # the error itself; rich would end the command, with a status of its own

        return Piped(
            color_system="auto" if self._color else None,
            width=None if sys.stdout.isatty() else _WIDE,
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=False,
        )

    def write(self, text: str) -> None:
        """Write a piece of an answer at once."""
        if not text:
            return
        if sys.stdout.isatty():
            text = printable(text)
        sys.stdout.write(text)
        sys.stdout.flush()
        self._begun = not text.endswith("\n")

    def line(self, text: str = "") -> None:
        """Write a line of an answer; one that was begun is ended first."""
        self.end()
        self.write(f"{text}\n")

    def end(self) -> None:
        """End a line that was begun."""
        if self._begun:
            self.write("\n")

    def document(self, value: Any) -> None:
        """Write one JSON document, of ASCII characters only: any pipe and terminal takes them."""
        sys.stdout.write(json.dumps(value, indent=2) + "\n")
        sys.stdout.flush()

    def table(self, *columns: str) -> Table:
        """A table without frame, to be filled and given to `console.print`."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, no_wrap=True, overflow="ellipsis")
        return table

    def show(self, renderable: Any) -> None:
        """Write what rich can draw."""
        self.end()
        self.console.print(renderable)

    def note(self, text: str) -> None:
        """Tell a person at a terminal something beside the answer."""
        if self._notes:
            self.report(text)

    def report(self, text: str) -> None:
        """Write a line to standard error."""
        if sys.stdout.isatty():
            self.end()
        if sys.stderr.isatty():
            text = printable(text)
        print(text, file=sys.stderr, flush=True)  # noqa: T201
