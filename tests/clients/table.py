"""The table in docs/clients.md, which client works over which agent: a plugin of pytest.

A test marked ``@pytest.mark.row("Instructor")`` that has the parameter `backend` belongs to one
cell.  The cell says "passes" when all its tests passed, or what one of them gave to `refusal`.
A run of every such test fails if the document says anything else; a run of some of them, or one
with failures or skips, leaves the document alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
DOCUMENT = FOLDER.parents[1] / "docs" / "clients.md"
BEGIN = "<!-- begin of the table, written by the tests -->\n"
END = "<!-- end of the table -->\n"
COLUMNS = ("claude", "codex", "gemini")
WRITE = "--write-clients-table"

_PLACE = "clients-table"
_REFUSAL = "clients-table-refusal"


def refusal(record_property: Callable[[str, object], None], reason: str) -> None:
    """Put the reason of a refusal, which the test has seen, in the cell of the running test."""
    record_property(_REFUSAL, reason)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one passed test says of its cell."""

    order: int
    """Where the test stands among all; a row stands where its first test does."""
    row: str
    column: str
    refusal: str | None


def lines_of(outcomes: Iterable[Outcome]) -> str:
    """The table in Markdown."""
    rows: dict[str, dict[str, set[str]]] = {}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.order):
        cells = rows.setdefault(outcome.row, {})
        reasons = cells.setdefault(outcome.column, set())
        reasons |= {outcome.refusal} if outcome.refusal else set()
    lines = [["client", *COLUMNS], ["---"] * (len(COLUMNS) + 1)]
    for row, cells in rows.items():
        words = {column: "; ".join(sorted(why)) or "passes" for column, why in cells.items()}
        lines.append([row, *(words.get(column, "not tested") for column in COLUMNS)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


class ClientsTable:
    """Collects the outcomes of a run and compares or writes the table at its end."""

    def __init__(self, config: pytest.Config) -> None:
        self._passed: dict[str, Outcome] = {}
        self._wanted = 0
        """How many tests belong to the table, also those that were not chosen to run."""
        self._write = config.getoption(WRITE)
        # With single files it is not even known how many tests there are.
        self._is_whole = any(
            FOLDER.is_relative_to((config.invocation_params.dir / name).resolve())
            for name in config.args
        )
        self._message = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        properties = dict(report.user_properties)
        if report.when == "call" and report.passed and _PLACE in properties:
            place, reason = properties[_PLACE], properties.get(_REFUSAL)
            assert isinstance(place, list)
            assert isinstance(reason, str | None)
            order, self._wanted, row, column = place
            self._passed[report.nodeid] = Outcome(order, row, column, reason)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not self._is_whole or not self._wanted or len(self._passed) < self._wanted:
            if self._write:
                self._message = "docs/clients.md is left alone: not all tests of its table passed"
            return
        before, begin, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
        present, end, after = rest.partition(END)
        table = lines_of(self._passed.values())
        if (begin, present, end) == (BEGIN, table, END):
            return
        if self._write and begin and end:
            DOCUMENT.write_text(before + BEGIN + table + END + after, encoding="utf-8")
            self._message = "docs/clients.md is written"
            return
        self._message = (
            f"docs/clients.md does not have the table that this run gives; "
            f"`pytest tests/clients {WRITE}` writes it:\n{table}"
        )
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._message:
            terminalreporter.write_line(self._message)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(WRITE, action="store_true", help="write the table in docs/clients.md")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "row(title): the test belongs to this row of docs/clients.md"
    )
    # Those that run tests for another process have only a part of them.
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(ClientsTable(config))


@pytest.hookimpl(tryfirst=True)  # before any test is deselected
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [(item, mark) for item in items if (mark := item.get_closest_marker("row"))]
    for order, (item, mark) in enumerate(marked):
        column = item.callspec.params["backend"]  # type: ignore[attr-defined]
        item.user_properties.append((_PLACE, [order, len(marked), mark.args[0], column]))
