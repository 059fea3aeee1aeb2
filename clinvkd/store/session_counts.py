"""How many sessions there are, kept as they come and go."""

from __future__ import annotations

from sqlalchemy import Connection, RowMapping, and_, bindparam, func, insert, select, update

from .schema import session_counts
from .sessions import SessionQuery

_COUNT = session_counts.c
_ADD = (
    update(session_counts)
    .where(
        and_(
            _COUNT.owner == bindparam("of_owner"),
            _COUNT.backend == bindparam("of_backend"),
            _COUNT.status == bindparam("of_status"),
        )
    )
    .values({_COUNT.sessions: _COUNT.sessions + bindparam("more")})
)
_INSERT = insert(session_counts)


class SessionCounts:
    """The table of counts, inside the transaction of the caller."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, owner: str, backend: str, status: str, more: int) -> None:
        """There are so many more sessions of the kind."""
        values = {"of_owner": owner, "of_backend": backend, "of_status": status, "more": more}
        if not self._connection.execute(_ADD, values).rowcount:
            self._connection.execute(
                _INSERT,
                {"owner": owner, "backend": backend, "status": status, "sessions": more},
            )

    def move(self, place: RowMapping, backend: str, status: str) -> None:
        """A session, that was as `place` says, is of another backend or status now."""
        if (place["backend"], place["status"]) != (backend, status):
            self.add(place["owner"], place["backend"], place["status"], -1)
            self.add(place["owner"], backend, status, 1)

    def total(self, query: SessionQuery) -> int | None:
        """How many sessions a query finds; None when only the rows themselves can tell."""
        if query.tag is not None or query.workdir is not None or query.q is not None:
            return None
        if query.status is not None and query.running:
            return None
        wanted = {
            _COUNT.owner: query.owner,
            _COUNT.backend: query.backend,
            _COUNT.status: query.status,
        }
        conditions = [column == value for column, value in wanted.items() if value is not None]
        number = select(func.coalesce(func.sum(_COUNT.sessions), 0)).where(*conditions)
        return int(self._connection.execute(number).scalar_one())
