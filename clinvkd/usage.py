"""Keeps the usage ledger: every turn is booked, in memory at once and on disk soon after.

Turns that end while the store is at work are booked together, so a busy daemon writes no more
often than the disk can take.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Literal, TypeAlias

from .config import EMBEDDED
from .errors import StoreUnavailable
from .observation import TurnEnd
from .pool import Background
from .prices import price
from .store import Account, Amounts, Store, UsageGroup, UsageSum

_LONGEST_MODEL = 200  # characters of a name a caller may have made up

Payment: TypeAlias = Callable[[str, str, float, Literal["agent", "estimate"]], None]
"""Is told of a cost: backend, key, US dollars, and who says so."""


def today() -> date:
    """The day it is in UTC: days of the ledger are the same everywhere."""
    return datetime.now(UTC).date()


class Ledger:
    """Books turns and tells what was used.

    Args:
        store: gives the store.
        background: runs what must not end with the request that caused it.

    Attributes:
        payments: are told of every cost once it is known.
    """

    def __init__(self, store: Callable[[], Store], background: Background) -> None:
        self.payments: list[Payment] = []
        self._store = store
        self._background = background
        self._ends: list[tuple[date, TurnEnd]] = []
        self._unwritten: dict[Account, Amounts] = {}
        self._writing = asyncio.Lock()

    def note(self, end: TurnEnd) -> None:
        """Book a turn; it is written in the background."""
        self._ends.append((today(), end))
        if len(self._ends) == 1:
            self._background.start(self._write(), "book usage")

    async def sums(
        self, first: date, last: date, by: Sequence[UsageGroup], key: str | None = None
    ) -> tuple[UsageSum, ...]:
        """What was used from `first` to `last`, both included, turns that have just ended too.

        Args:
            by: what to tell apart, in this order; empty for one sum.
            key: only what this one used; None for all.

        Raises:
            StoreUnavailable: the ledger cannot be read.
        """
        # Who stops asking must not stop the writing.
        await asyncio.shield(self._background.start(self._write(), "book usage"))
        return await self._store().usage.sums(first.isoformat(), last.isoformat(), by, key)

    async def tokens(self, day: date) -> Mapping[str, int]:
        """Input and output tokens on a day, by key, as they are on disk.

        Raises:
            StoreUnavailable: the ledger cannot be read.
        """
        sums = await self._store().usage.sums(day.isoformat(), day.isoformat(), ("key",))
        return {
            each.group["key"]: each.amounts.input_tokens + each.amounts.output_tokens
            for each in sums
        }

    async def _write(self) -> None:
        """Write what was booked; what the store does not take is tried again with the next turn."""
        async with self._writing:
            ends, self._ends = self._ends, []
            if unpriced := [end for _, end in ends if _has_a_price(end)]:
                estimates = await asyncio.to_thread(_estimates, unpriced)
            else:
                estimates = {}
            for day, end in ends:
                self._book(day, end, estimates.get(id(end)))
            if not (entries := self._unwritten):
                return
            self._unwritten = {}
            try:
                await self._store().usage.add(entries)
            except StoreUnavailable:  # the store has logged why, and /health tells it
                self._unwritten = entries

    def _book(self, day: date, end: TurnEnd, estimate: float | None) -> None:
        usage = end.usage
        amounts = Amounts(
            requests=1,
            errors=end.outcome not in ("completed", "interrupted"),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            reasoning_tokens=usage.reasoning_tokens,
        )
        if end.cost_usd is not None:
            amounts = replace(amounts, cost_usd=end.cost_usd)
            self._pay(end, end.cost_usd, "agent")
        elif estimate is not None:
            amounts = replace(amounts, cost_usd=estimate, estimated_cost_usd=estimate)
            self._pay(end, estimate, "estimate")
        elif _has_a_price(end):
            amounts = replace(amounts, unpriced_requests=1)
        account = Account(
            day.isoformat(), end.backend, (end.model or "")[:_LONGEST_MODEL], end.client
        )
        self._unwritten[account] = self._unwritten.get(account, Amounts()) + amounts

    def _pay(self, end: TurnEnd, dollars: float, source: Literal["agent", "estimate"]) -> None:
        for tell in self.payments:
            tell(end.backend, end.client, dollars, source)


def _has_a_price(end: TurnEnd) -> bool:
    """Whether it cost something that its agent did not tell; what comes with clinvk is free."""
    used = end.usage.input_tokens + end.usage.output_tokens
    return used > 0 and end.cost_usd is None and end.backend not in EMBEDDED


def _estimates(ends: Sequence[TurnEnd]) -> dict[int, float]:
    """The prices of turns, by `id`, as far as they are known. Blocking: the first takes 0.2 s."""
    found = ((id(end), price(end.model, end.usage)) for end in ends)
    return {identity: dollars for identity, dollars in found if dollars is not None}
