"""The usage ledger on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clinvkd.store import Account, Amounts, Store

from .samples import opened

ONE = Amounts(requests=1, input_tokens=10, output_tokens=5, cost_usd=0.5)
FAILED = Amounts(requests=1, errors=1)
ALICE = Account("2026-11-20", "claude", "opus", "alice")
BOB = Account("2026-11-20", "claude", "opus", "bob")
LATER = Account("2026-11-22", "codex", "gpt", "alice")
BOOKED: Mapping[Account, Amounts] = {ALICE: ONE, BOB: ONE, LATER: FAILED}


async def test_what_is_booked_adds_up(store: Store) -> None:
    await store.usage.add(BOOKED)
    await store.usage.add({ALICE: ONE})
    (total,) = await store.usage.sums("2026-11-20", "2026-11-22", ())
    assert (dict(total.group), total.amounts) == ({}, ONE + ONE + ONE + FAILED)
    assert total.amounts.requests == 4
    assert total.amounts.cost_usd == 1.5


async def test_sums_are_told_apart_and_sorted_by_what_is_asked(store: Store) -> None:
    await store.usage.add(BOOKED)
    by_key = await store.usage.sums("2026-11-20", "2026-11-22", ("key",))
    assert [(each.group, each.amounts) for each in by_key] == [
        ({"key": "alice"}, ONE + FAILED),
        ({"key": "bob"}, ONE),
    ]
    several = await store.usage.sums("2026-11-20", "2026-11-22", ("day", "backend"))
    assert [dict(each.group) for each in several] == [
        {"day": "2026-11-20", "backend": "claude"},
        {"day": "2026-11-22", "backend": "codex"},
    ]


async def test_only_the_days_and_the_key_that_are_asked_for(store: Store) -> None:
    await store.usage.add(BOOKED)
    (one,) = await store.usage.sums("2026-11-21", "2026-11-22", ("day",))
    assert dict(one.group) == {"day": "2026-11-22"}
    (own,) = await store.usage.sums("2026-11-20", "2026-11-20", ("backend",), "bob")
    assert own.amounts == ONE
    assert await store.usage.sums("2026-11-21", "2026-11-21", ("backend",)) == ()
    assert await store.usage.sums("2026-11-21", "2026-11-21", ()) == ()


async def test_it_outlives_the_store_and_its_sessions(path: Path) -> None:
    async with opened(path) as store:
        await store.usage.add(BOOKED)
    async with opened(path) as store:
        await store.sessions.prune(9e9, 100)
        assert len(await store.usage.sums("2026-01-01", "2026-12-31", ("key",))) == 2
