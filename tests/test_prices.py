"""Estimates of what tokens cost."""

from __future__ import annotations

import pytest

from clinvkd.events import Usage
from clinvkd.prices import price

INPUT = Usage(input_tokens=1_000_000)


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "gpt-5.1-codex", "gemini-2.5-pro"])
def test_models_of_the_agents_have_a_price(model: str) -> None:
    assert 0.1 < (price(model, INPUT) or 0) < 100


def test_cached_input_costs_less_and_output_more() -> None:
    plain = price("claude-sonnet-4-5", INPUT)
    cached = price("claude-sonnet-4-5", Usage(input_tokens=1_000_000, cached_tokens=900_000))
    output = price("claude-sonnet-4-5", Usage(output_tokens=1_000_000))
    assert plain
    assert cached
    assert output
    assert 0 < cached < plain < output


@pytest.mark.parametrize("model", [None, "", "nobody-knows-this", "x" * 10_000])
def test_what_is_not_in_the_table_has_none(model: str | None) -> None:
    assert price(model, INPUT) is None


def test_tokens_that_do_not_add_up_have_none() -> None:
    assert price("claude-sonnet-4-5", Usage(input_tokens=1, cached_tokens=100)) is None
