"""Parameters and answer of the route of usage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated, cast, get_args

from pydantic import BeforeValidator, ConfigDict, Field

from ...store import Amounts, UsageGroup, UsageSum
from .models import Body
from .session_models import Query

_GROUP = f"({'|'.join(get_args(UsageGroup))})"


def _day(value: object) -> object:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ValueError("a date such as 2026-11-22") from None
    return value


class UsageQuery(Query):
    """Which usage is wanted. Days are those of UTC."""

    from_: Annotated[date | None, BeforeValidator(_day), Field(alias="from")] = None
    """The first day; without it 29 days before the last one."""

    to: Annotated[date | None, BeforeValidator(_day)] = None
    """The last day, itself included; without it today."""

    by: Annotated[str, Field(pattern=f"^{_GROUP}(,{_GROUP}){{0,3}}$")] = "backend"
    """What is told apart: ``day``, ``backend``, ``model`` or ``key``, or several of them with
    commas between."""

    @property
    def groups(self) -> tuple[UsageGroup, ...]:
        """What is told apart, each once."""
        return tuple(dict.fromkeys(cast("list[UsageGroup]", self.by.split(","))))


class UsageAmounts(Body):
    """How much was used."""

    requests: int
    """Turns that were asked for."""
    errors: int
    """Those of them that failed."""
    token_usage: dict[str, int]
    cost_usd: float
    """US dollars, as far as they are known, estimates included."""
    estimated_cost_usd: float
    """The part of the cost that is an estimate from a table of prices."""
    unpriced_requests: int
    """Those that used tokens of which nobody knows the price."""


class UsageEntry(UsageAmounts):
    """How much was used by what is named; only what is told apart is there."""

    day: str | None = None
    backend: str | None = None
    model: str | None = None
    """As the agent calls it; empty where nobody told."""
    key: str | None = None
    """Name of the API key; empty for callers without one."""


class UsageAnswer(Body):
    """What was used in some days."""

    model_config = ConfigDict(serialize_by_alias=True)

    from_: Annotated[str, Field(serialization_alias="from")]
    to: str
    by: list[UsageGroup]
    usage: list[UsageEntry]
    """Sorted by what is told apart."""
    total: UsageAmounts


def usage_answer(
    first: date, last: date, by: Sequence[UsageGroup], sums: Sequence[UsageSum]
) -> UsageAnswer:
    """The answer that tells these sums."""
    total = sum((each.amounts for each in sums), start=Amounts())
    return UsageAnswer(
        from_=first.isoformat(),
        to=last.isoformat(),
        by=list(by),
        usage=[
            UsageEntry.model_validate({**each.group, **_amounts(each.amounts).model_dump()})
            for each in sums
        ],
        total=_amounts(total),
    )


def _amounts(amounts: Amounts) -> UsageAmounts:
    return UsageAmounts(
        requests=amounts.requests,
        errors=amounts.errors,
        token_usage={
            "input_tokens": amounts.input_tokens,
            "output_tokens": amounts.output_tokens,
            "cached_tokens": amounts.cached_tokens,
            "cache_write_tokens": amounts.cache_write_tokens,
            "reasoning_tokens": amounts.reasoning_tokens,
        },
        cost_usd=round(amounts.cost_usd, 6),
        estimated_cost_usd=round(amounts.estimated_cost_usd, 6),
        unpriced_requests=amounts.unpriced_requests,
    )
