"""What is printed of results, and the small forms of times and numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clinvkd.commands.exit_status import FAILED, OK
from clinvkd.commands.results import print_results, status_of
from clinvkd.commands.terminal import Terminal
from clinvkd.commands.words import ago, figures, first_line, span

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def answer(backend: str, output: str, **more: Any) -> dict[str, Any]:
    return {"backend": backend, "exit_code": 0, "duration_ms": 1500, "output": output, **more}


COMPARED: dict[str, Any] = {
    "results": [answer("one", "yes", model="m", cost_usd=0.25), answer("two", "no\n")],
    "verdict": {
        "backend": "judge",
        "winner": "two",
        "winner_index": 1,
        "reasoning": "It is shorter.",
        "scores": [
            {"index": 0, "backend": "one", "score": 3.5, "comment": "long"},
            {"index": 1, "backend": "two", "score": 9, "comment": "short"},
        ],
    },
}


def test_a_verdict_is_printed_below_the_answers(capsys: pytest.CaptureFixture[str]) -> None:
    print_results(Terminal(), "compare", COMPARED)
    assert capsys.readouterr().out.splitlines() == [
        "== 1 one (one/m, done, 1.5 s, $0.2500)",
        "yes",
        "== 2 two (two, done, 1.5 s)",
        "no",
        "== verdict of judge: 2 two",
        "It is shorter.",
        "  1 one/m: 3.5, long",
        "  2 two: 9, short",
    ]
    assert status_of(COMPARED) == OK


def test_a_comparison_without_the_verdict_asked_for_has_failed() -> None:
    verdict = {"backend": "judge", "error": "it failed", "duration_ms": 1}
    assert status_of({**COMPARED, "verdict": verdict}) == FAILED
    assert status_of({"results": [answer("a", "b"), answer("a", "b", exit_code=-1)]}) == FAILED
    assert status_of(answer("a", "b")) == OK


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s ago"), (59, "59 s ago"), (60, "1 min ago"), (7200, "2 h ago"), (1e6, "11 d ago")],
)
def test_ago(seconds: float, said: str) -> None:
    assert ago((NOW - timedelta(seconds=seconds)).isoformat(), NOW) == said


def test_spans() -> None:
    texts = ("90s", "45m", "12h", "30d", " 2w ")
    assert [span(text).total_seconds() for text in texts] == [
        90,
        2700,
        43_200,
        2_592_000,
        1_209_600,
    ]
    for text in ("30", "d", "-1d", "1y", "", "1 month"):
        with pytest.raises(ValueError, match="30d"):
            span(text)


def test_figures_tell_what_there_is() -> None:
    usage = {"input_tokens": 1, "output_tokens": 2}
    told = {"duration_ms": 1250, "token_usage": usage, "cost_usd": 0.0}
    assert figures(told) == "1.2 s, 1 tokens in, 2 out, $0.0000"
    assert figures({}) == ""


def test_a_long_first_line_is_cut() -> None:
    assert first_line("\n  first \nsecond") == "first"
    assert first_line("x" * 30, 10) == "xxxxxxx..."
    assert first_line("") == ""
