"""Token buckets in memory, on a clock of the test."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinvkd.limits.buckets import Buckets, Rate


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_bucket_is_refilled_one_by_one(clock: Clock) -> None:
    buckets, rate = Buckets(10, clock), Rate(per_second=2, burst=3)
    assert [buckets.hit("a", rate).remaining for _ in range(3)] == [2, 1, 0]
    refused = buckets.hit("a", rate)
    assert (refused.allowed, refused.remaining, refused.retry_after) == (False, 0, 0.5)
    clock.now += refused.retry_after
    assert buckets.hit("a", rate).allowed
    assert not buckets.hit("a", rate).allowed
    clock.now += 100  # more than fits
    assert [buckets.hit("a", rate).allowed for _ in range(4)] == [True] * 3 + [False]


def test_a_refusal_takes_nothing(clock: Clock) -> None:
    buckets, rate = Buckets(10, clock), Rate(per_second=1, burst=1)
    assert buckets.hit("a", rate).allowed
    assert {buckets.hit("a", rate).retry_after for _ in range(5)} == {1.0}


def test_it_tells_when_the_bucket_is_full(clock: Clock) -> None:
    buckets, rate = Buckets(10, clock), Rate(per_second=0.001, burst=5)
    before = time.time()
    for taken in range(1, 6):
        assert 0 <= buckets.hit("a", rate).full_at - before - taken * 1000 < 600
    assert 0 <= buckets.hit("a", rate).full_at - before - 5000 < 600


def test_names_and_rates_have_buckets_of_their_own(clock: Clock) -> None:
    buckets = Buckets(10, clock)
    for name in ("a", "b"):
        for rate in (Rate(1, 1), Rate(1, 2), Rate(2, 1)):
            assert buckets.hit(name, rate).allowed


def test_the_least_recent_is_forgotten(clock: Clock) -> None:
    buckets, rate = Buckets(2, clock), Rate(per_second=0.001, burst=1)
    for name in ("a", "b"):
        assert buckets.hit(name, rate).allowed
    assert not buckets.hit("a", rate).allowed
    assert buckets.hit("c", rate).allowed  # for which "a" is forgotten
    assert not buckets.hit("b", rate).allowed
    assert buckets.hit("a", rate).allowed


@given(
    per_second=st.floats(0.001, 1000),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 5), max_size=100),
)
def test_never_more_than_burst_and_refill(
    per_second: float, burst: int, pauses: list[float]
) -> None:
    clock = Clock()
    buckets, rate = Buckets(10, clock), Rate(per_second, burst)
    allowed = 0
    for pause in pauses:
        clock.now += pause
        verdict = buckets.hit("a", rate)
        allowed += verdict.allowed
        assert 0 <= verdict.remaining < burst
        assert (verdict.retry_after == 0) == verdict.allowed
        assert allowed <= burst + (clock.now - 1000) * per_second + 1e-6
