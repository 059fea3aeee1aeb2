"""`clinvk usage`: what was asked, how many tokens it took, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from .exit_status import OK
from .invocation import DaemonCommand, Invocation, as_json_option, asks_daemon
from .request import given

_GROUPS = ("day", "backend", "model", "key")
_BAR = 24
_EIGHTHS = " ▏▎▍▌▋▊▉█"


@click.command(cls=DaemonCommand)
@click.option("--from", "first", metavar="DAY", help="The first day, such as 2026-11-01.")
@click.option("--to", "last", metavar="DAY", help="The last day; without it today.")
@click.option(
    "--by", type=click.Choice(_GROUPS), default="backend", show_default=True,
    help="What is told apart.",
)  # fmt: skip
@as_json_option
@asks_daemon
def usage(invocation: Invocation, *, first: str | None, last: str | None, by: str) -> int:
    """Show requests, tokens and cost of 30 days or of those named.

    Days are those of UTC. `~` stands before a cost that is an estimate, at least in part, and `?`
    behind one that leaves out what has no known price.
    """
    query = given(to=last, by=by) | ({"from": first} if first else {})
    answer = invocation.run(invocation.client.call("GET", "usage", query=query))
    terminal = invocation.terminal
    if invocation.as_json:
        terminal.document(answer)
        return OK
    entries = answer["usage"]
    if by != "day":
        entries = sorted(entries, key=_tokens, reverse=True)
    table = terminal.table(by, "requests", "errors", "in", "cached", "out", "cost", "tokens")
    most = max(map(_tokens, entries), default=0)
    for entry in entries:
        table.add_row(entry[by] or "-", *_cells(entry), bar(_tokens(entry), most))
    if len(entries) > 1:
        table.add_row("total", *_cells(answer["total"]), "")
    if entries:
        terminal.show(table)
    terminal.note(f"({answer['from']} to {answer['to']})")
    return OK


def bar(value: float, most: float) -> str:
    """A bar as long, within its column, as `value` is large beside `most`."""
    if not most:
        return ""
    eighths = round(value / most * _BAR * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + _EIGHTHS[rest]).rstrip()


def _tokens(entry: Mapping[str, Any]) -> int:
    used = entry["token_usage"]
    return int(used["input_tokens"] + used["output_tokens"])


def _cells(entry: Mapping[str, Any]) -> tuple[str, ...]:
    used = entry["token_usage"]
    estimate = "~" if entry["estimated_cost_usd"] else ""
    unknown = "?" if entry["unpriced_requests"] else ""
    return (
        f"{entry['requests']:,}",
        f"{entry['errors']:,}",
        f"{used['input_tokens']:,}",
        f"{used['cached_tokens']:,}",
        f"{used['output_tokens']:,}",
        f"{estimate}${entry['cost_usd']:.2f}{unknown}",
    )
