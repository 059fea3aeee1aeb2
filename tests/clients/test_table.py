"""The table of clients: written by whole runs, compared by whole runs, left alone by others."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import table
from .table import BEGIN, END, WRITE

TESTS = """
import pytest
from tests.clients.table import refusal

EACH = pytest.mark.parametrize("backend", ["gemini", "claude", "codex"])

@pytest.mark.row("Second by name, first by place")
@EACH
def test_one(backend, record_property):
    if backend == "gemini":
        refusal(record_property, "gemini does not")

@pytest.mark.row("First by name")
@pytest.mark.parametrize("backend", ["claude"])
def test_two(backend): pass

@pytest.mark.row("Second by name, first by place")
@EACH
def test_three(backend): pass

def test_of_no_row(): pass
"""
TABLE = """\
| client | claude | codex | gemini |
| --- | --- | --- | --- |
| Second by name, first by place | passes | passes | gemini does not |
| First by name | passes | not tested | not tested |
"""


@pytest.fixture
def document(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = pytester.path / "clients.md"
    path.write_text(f"before\n{BEGIN}{END}after\n")
    monkeypatch.setattr(table, "DOCUMENT", path)
    monkeypatch.setattr(table, "FOLDER", pytester.path)
    pytester.makepyfile(TESTS)
    return path


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """A run of all tests that are there."""
    quiet = "asyncio_default_fixture_loop_scope=function"  # or that plugin warns
    return pytester.runpytest_inprocess(
        "-p", "tests.clients.table", "-o", quiet, *arguments, pytester.path
    )


@pytest.mark.parametrize("processes", [(), ("-n", "2")])
def test_a_whole_run_that_finds_something_else_fails(
    processes: tuple[str, ...], pytester: pytest.Pytester, document: Path
) -> None:
    before = document.read_text()
    result = run(pytester, *processes)
    result.assert_outcomes(passed=8)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"*{WRITE}*", *TABLE.splitlines()])
    assert document.read_text() == before


def test_a_table_is_written_and_then_found_right(pytester: pytest.Pytester, document: Path) -> None:
    assert run(pytester, WRITE).ret == 0
    assert document.read_text() == f"before\n{BEGIN}{TABLE}{END}after\n"
    assert run(pytester).ret == 0


def test_a_run_of_some_tests_compares_nothing(pytester: pytest.Pytester, document: Path) -> None:
    before = document.read_text()
    assert run(pytester, "-k", "claude").ret == 0
    result = run(pytester, "-k", "claude", WRITE)
    result.stdout.fnmatch_lines(["*left alone*"])
    assert document.read_text() == before


def test_a_table_is_not_written_of_failures(pytester: pytest.Pytester, document: Path) -> None:
    before = document.read_text()
    pytester.makepyfile(TESTS.replace("test_two(backend): pass", "test_two(backend): assert False"))
    assert run(pytester, WRITE).ret == pytest.ExitCode.TESTS_FAILED
    assert document.read_text() == before
