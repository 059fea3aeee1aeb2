"""What came of a request, whole: how it is printed, and whether it is a success."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from .exit_status import FAILED, OK
from .terminal import Terminal, printable
from .words import figures

Result: TypeAlias = Mapping[str, Any]

_NARROWEST = 30
"""Columns that an answer needs beside others."""


def status_of(result: Result) -> int:
    """The exit status for the answer to a prompt, or to several; a verdict must be there, too."""
    parts = result.get("results", [result])
    well = all(part.get("exit_code") == 0 for part in parts)
    return OK if well and "error" not in result.get("verdict", {}) else FAILED


def print_results(terminal: Terminal, kind: str, result: Result) -> None:
    """Print the answers of several prompts: those of a comparison side by side on a terminal."""
    if result.get("dry_run"):
        for part in result["results"]:
            print_rehearsal(terminal, part)
        return
    results: Sequence[Result] = result["results"]
    if kind == "compare":
        if terminal.live and results and terminal.console.width // len(results) >= _NARROWEST:
            _side_by_side(terminal, results)
        else:
            _one_by_one(terminal, kind, results)
        if verdict := result.get("verdict"):
            _verdict(terminal, results, verdict)
    else:
        _one_by_one(terminal, kind, results)


def print_rehearsal(terminal: Terminal, told: Result) -> None:
    """Print what would be started, where, and what would be written to it."""
    terminal.line(f"{told['output']}\nin {told['workdir']}, and then send:")
    for line in told["lines"]:
        terminal.line(f"  {json.dumps(line)}")


def _one_by_one(terminal: Terminal, kind: str, results: Sequence[Result]) -> None:
    for index, part in enumerate(results):
        number = part.get("step", index + 1)
        name = part["backend"] if kind == "compare" else part.get("name") or part.get("id")
        title = f"{number} {name}" if name else str(number)
        terminal.line(f"== {title} ({_about(part)})")
        if part["output"]:
            terminal.line(part["output"].removesuffix("\n"))
        if error := part.get("error"):
            terminal.line(f"!! {error}")


def _about(part: Result) -> str:
    state = {0: "done", -1: "canceled"}.get(part["exit_code"], "failed")
    if part.get("resumed"):
        state = "done before"
    return ", ".join(filter(None, (_agent(part), state, figures(part))))


def _agent(part: Result) -> str:
    model = part.get("model")
    return f"{part['backend']}/{model}" if model else str(part["backend"])


def _side_by_side(terminal: Terminal, results: Sequence[Result]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(expand=True, show_lines=True)
    for part in results:
        table.add_column(Text(printable(_agent(part))), ratio=1, overflow="fold")
    table.add_row(*(_answer(part) for part in results))
    table.add_row(*(Text(figures(part) or "-", "dim") for part in results))
    terminal.show(table)


def _answer(part: Result) -> Any:
    from rich.text import Text

    text = Text(printable(part["output"].removesuffix("\n")))
    if error := part.get("error"):
        text.append(f"{chr(10) if text else ''}{printable(error)}", "red")
    return text


def _verdict(terminal: Terminal, results: Sequence[Result], verdict: Result) -> None:
    judge = verdict["backend"]
    if error := verdict.get("error"):
        terminal.line(f"== verdict of {judge}: none, {error}")
        return
    winner = verdict["winner_index"]
    terminal.line(f"== verdict of {judge}: {winner + 1} {_agent(results[winner])}")
    terminal.line(verdict["reasoning"])
    for score in verdict["scores"]:
        place = score["index"]
        terminal.line(
            f"  {place + 1} {_agent(results[place])}: {score['score']:g}, {score['comment']}"
        )
