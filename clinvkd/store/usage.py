"""The usage ledger: what was used, by day, backend, model and key. Nothing of it is ever pruned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from .worker import Worker

UsageGroup: TypeAlias = Literal["day", "backend", "model", "key"]
"""What usage is told apart by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """How much was used.

    Attributes:
        requests: turns that were asked for.
        errors: those of them that failed; one whose caller left did not.
        input_tokens: all input, the cached part included.
        output_tokens: all output, reasoning included.
        cached_tokens: the part of the input read from the provider's cache.
        cache_write_tokens: the part of the input written to the provider's cache.
        reasoning_tokens: the part of the output that is reasoning.
        cost_usd: US dollars, as far as they are known.
        estimated_cost_usd: the part of the cost that is an estimate from a table of prices.
        unpriced_requests: those that used tokens of which nobody knows the price.
    """

    requests: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float = 0
    estimated_cost_usd: float = 0
    unpriced_requests: int = 0

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(**{name: getattr(self, name) + getattr(other, name) for name in AMOUNTS})


AMOUNTS = tuple(field.name for field in fields(Amounts))
"""The names of all amounts."""


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """What amounts are booked on.

    Attributes:
        day: of UTC, as in ``2026-11-22``.
        model: as the agent calls it; empty where nobody told.
        key: name of the API key; empty for callers without one.
    """

    day: str
    backend: str
    model: str
    key: str


@dataclass(frozen=True, slots=True)
class UsageSum:
    """Amounts of all accounts that have the values of `group` in common."""

    group: Mapping[UsageGroup, str]
    amounts: Amounts


class UsageLedger:
    """All that was booked.

    Every method may raise `StoreUnavailable`; then nothing of the call has been kept.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def add(self, entries: Mapping[Account, Amounts]) -> None:
        """Book amounts, all or none."""
        await self._worker.write(lambda database: database.usage.add(entries))

    async def sums(
        self, first: str, last: str, by: Sequence[UsageGroup], key: str | None = None
    ) -> tuple[UsageSum, ...]:
        """What was used from the day `first` to the day `last`, both included.

        Args:
            by: what to tell apart, in this order; the sums are sorted so. Empty for one sum.
            key: only what this one used; None for all.
        """
        return await self._worker.read(lambda database: database.usage.sums(first, last, by, key))
