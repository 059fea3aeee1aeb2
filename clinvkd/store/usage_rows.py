"""The statements behind `UsageLedger`, on any database SQLAlchemy speaks to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, and_, bindparam, func, insert, select, update

from .schema import usage
from .usage import AMOUNTS, Account, Amounts, UsageGroup, UsageSum

_IDENTITY = ("day", "backend", "model", "key")
_INSERT = insert(usage)
_ADD = (
    update(usage)
    .where(and_(*(usage.c[name] == bindparam(f"of_{name}") for name in _IDENTITY)))
    .values({usage.c[name]: usage.c[name] + bindparam(f"more_{name}") for name in AMOUNTS})
)


class UsageRows:
    """Rows of the table of usage, inside the transaction of the caller."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, entries: Mapping[Account, Amounts]) -> None:
        """See `UsageLedger.add`."""
        for account, amounts in sorted(entries.items(), key=lambda entry: entry[0]):
            place = {name: getattr(account, name) for name in _IDENTITY}
            more = {name: getattr(amounts, name) for name in AMOUNTS}
            values = {f"of_{name}": value for name, value in place.items()}
            values |= {f"more_{name}": value for name, value in more.items()}
            if not self._connection.execute(_ADD, values).rowcount:
                self._connection.execute(_INSERT, {**place, **more})

    def sums(
        self, first: str, last: str, by: Sequence[UsageGroup], key: str | None
    ) -> tuple[UsageSum, ...]:
        """See `UsageLedger.sums`."""
        columns = [usage.c[name] for name in by]
        totals = [func.sum(usage.c[name]).label(name) for name in AMOUNTS]
        statement = select(*columns, *totals).where(usage.c.day.between(first, last))
        if key is not None:
            statement = statement.where(usage.c.key == key)
        if columns:
            statement = statement.group_by(*columns).order_by(*columns)
        rows = self._connection.execute(statement).mappings()
        return tuple(
            UsageSum(
                {name: row[name] for name in by}, Amounts(**{name: row[name] for name in AMOUNTS})
            )
            for row in rows
            if row["requests"] is not None  # the sum of no rows at all
        )
