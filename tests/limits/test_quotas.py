"""Turns at once and tokens per day of a client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from clinvkd.errors import RateLimited
from clinvkd.events import Usage
from clinvkd.keys import Caller, Scopes
from clinvkd.limits import Quotas

NOON = 20_000 * 86_400 + 43_200.0


class Clock:
    now = NOON

    def __call__(self) -> float:
        return self.now


def used(tokens: int) -> Usage:
    return Usage(input_tokens=tokens - 1, output_tokens=1)


def test_a_client_without_limits_has_none() -> None:
    quotas = Quotas()
    quotas.note(Caller("free"))
    with quotas.turn("free"), quotas.turn("free"), quotas.turn("never noted"):
        pass


def test_refusals_are_counted_by_what_was_used_up() -> None:
    quotas = Quotas(Clock())
    quotas.note(Caller("a", Scopes(concurrent_turns=1, tokens_per_day=5)))
    with quotas.turn("a"):
        with pytest.raises(RateLimited), quotas.turn("a"):
            pass
        quotas.spend("a", used(5))
    with pytest.raises(RateLimited), quotas.turn("a"):
        pass
    assert quotas.refused == {"requests": 0, "turns": 1, "tokens": 1}


def test_what_was_used_today_before_the_start_counts() -> None:
    clock = Clock()
    quotas = Quotas(clock)
    day = datetime.fromtimestamp(clock.now, UTC).date()
    quotas.note(Caller("a", Scopes(tokens_per_day=100)))
    with quotas.turn("a"):
        quotas.spend("a", used(10))
    quotas.recall(day - timedelta(days=1), {"a": 1000})
    assert quotas.tokens_today("a") == 10
    quotas.recall(day, {"a": 90, "b": 7})
    assert (quotas.tokens_today("a"), quotas.tokens_today("b")) == (100, 7)
    with pytest.raises(RateLimited), quotas.turn("a"):
        pass


def test_only_so_many_turns_run_at_once() -> None:
    quotas = Quotas()
    quotas.note(Caller("a", Scopes(concurrent_turns=2)))
    with quotas.turn("a"):
        with quotas.turn("a"):
            with pytest.raises(RateLimited, match="2 turns at once") as refused, quotas.turn("a"):
                pass
            assert refused.value.retry_after == 1
            with quotas.turn("b"):
                pass
        with quotas.turn("a"):
            pass


def test_a_turn_that_failed_is_over() -> None:
    quotas = Quotas()
    quotas.note(Caller("a", Scopes(concurrent_turns=1)))
    with pytest.raises(ZeroDivisionError), quotas.turn("a"):
        raise ZeroDivisionError
    with quotas.turn("a"):
        pass


def test_tokens_are_counted_until_midnight() -> None:
    clock = Clock()
    quotas = Quotas(clock)
    quotas.note(Caller("a", Scopes(tokens_per_day=100)))
    for tokens in (60, 60):  # the second goes over: nobody knew what it would cost
        with quotas.turn("a"):
            quotas.spend("a", used(tokens))
    assert quotas.tokens_today("a") == 120
    with pytest.raises(RateLimited, match="100 tokens per day") as refused, quotas.turn("a"):
        pass
    assert refused.value.retry_after == 43_200
    clock.now += 43_200
    with quotas.turn("a"):
        pass
    assert quotas.tokens_today("a") == 0


def test_new_limits_hold_for_the_next_turn() -> None:
    quotas = Quotas()
    quotas.note(Caller("a"))
    with quotas.turn("a"):
        quotas.note(Caller("a", Scopes(concurrent_turns=1)))
        with pytest.raises(RateLimited), quotas.turn("a"):
            pass
