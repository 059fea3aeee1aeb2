"""The usage ledger: what is booked of a turn, and when it is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from clinvkd.events import Usage
from clinvkd.observation import TurnEnd
from clinvkd.pool import Background, Way
from clinvkd.store import Amounts, Store
from clinvkd.usage import Ledger, today

from .store.samples import opened

END = TurnEnd(
    backend="codex",
    client="alice",
    model="gpt-5.1-codex",
    way=Way.SEED,
    outcome="completed",
    seconds=1,
    usage=Usage(input_tokens=1000, output_tokens=100, cached_tokens=300, reasoning_tokens=7),
)
TOLD = replace(END, backend="claude", model="claude-opus-4-1", cost_usd=0.25)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path / "clinvk.db") as store:
        yield store


@pytest.fixture
def background() -> Background:
    return Background()


async def booked(ledger: Ledger, *ends: TurnEnd) -> Amounts:
    for end in ends:
        ledger.note(end)
    (total,) = await ledger.sums(today(), today(), ())
    return total.amounts


async def test_all_tokens_are_booked(store: Store, background: Background) -> None:
    total = await booked(Ledger(lambda: store, background), END, END)
    assert (total.requests, total.errors) == (2, 0)
    assert (total.input_tokens, total.output_tokens) == (2000, 200)
    assert (total.cached_tokens, total.reasoning_tokens) == (600, 14)


async def test_what_the_agent_tells_is_no_estimate(store: Store, background: Background) -> None:
    ledger = Ledger(lambda: store, background)
    paid: list[tuple[str, str, float, str]] = []
    ledger.payments.append(lambda *payment: paid.append(payment))
    total = await booked(ledger, TOLD)
    assert (total.cost_usd, total.estimated_cost_usd, total.unpriced_requests) == (0.25, 0, 0)
    assert paid == [("claude", "alice", 0.25, "agent")]
    total = await booked(ledger, END)
    assert total.estimated_cost_usd == pytest.approx(total.cost_usd - 0.25) != 0
    assert paid[1:] == [("codex", "alice", total.estimated_cost_usd, "estimate")]


async def test_a_price_that_nobody_knows_is_told(store: Store, background: Background) -> None:
    unknown = replace(END, model="nobody-knows-this")
    silent = replace(END, usage=Usage())
    total = await booked(Ledger(lambda: store, background), unknown, silent)
    assert (total.cost_usd, total.unpriced_requests) == (0, 1)


async def test_what_comes_with_clinvk_is_free(store: Store, background: Background) -> None:
    total = await booked(Ledger(lambda: store, background), replace(END, backend="echo"))
    assert (total.cost_usd, total.unpriced_requests) == (0, 0)


@pytest.mark.parametrize(
    ("outcome", "errors"), [("completed", 0), ("interrupted", 0), ("backend_error", 1)]
)
async def test_a_caller_who_leaves_is_no_error(
    store: Store, background: Background, outcome: str, errors: int
) -> None:
    total = await booked(Ledger(lambda: store, background), replace(END, outcome=outcome))
    assert (total.requests, total.errors) == (1, errors)


async def test_turns_are_written_without_being_asked_for(tmp_path: Path) -> None:
    background = Background()
    async with opened(tmp_path / "clinvk.db") as store:
        ledger = Ledger(lambda: store, background)
        for _ in range(50):
            ledger.note(TOLD)
            await asyncio.sleep(0)
        await background.aclose(30)
    async with opened(tmp_path / "clinvk.db") as store:
        assert await Ledger(lambda: store, background).tokens(today()) == {"alice": 50 * 1100}


async def test_who_stops_asking_does_not_stop_the_writing(
    store: Store, background: Background
) -> None:
    ledger = Ledger(lambda: store, background)
    ledger.note(END)
    asking = asyncio.ensure_future(ledger.sums(today(), today(), ()))  # noqa: TID251 - cancelled
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await background.aclose(30)
    assert await ledger.tokens(today()) == {"alice": 1100}


async def test_what_the_store_does_not_take_is_written_with_the_next_turn(tmp_path: Path) -> None:
    background = Background()
    broken = tmp_path / "broken" / "clinvk.db"
    broken.mkdir(parents=True)  # a directory is no database
    stores: list[Store] = []
    ledger = Ledger(lambda: stores[-1], background)
    async with opened(broken) as store:
        stores.append(store)
        ledger.note(END)
        await background.aclose(30)
    async with opened(tmp_path / "clinvk.db") as store:
        stores.append(store)
        assert (await booked(ledger, END)).requests == 2
