"""The statements behind `Idempotency`, on any database SQLAlchemy speaks to."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, update

from .canonical import from_json, to_json
from .idempotency import Claim, StoredAnswer
from .schema import idempotency

# Statements are built once: to build one costs more than to run it. What an update sets are the
# values it is run with, so the names of the conditions must be none of columns.
_SAME = and_(
    idempotency.c.owner == bindparam("of_owner"),
    idempotency.c.route == bindparam("of_route"),
    idempotency.c.key == bindparam("of_key"),
)
_IS_RUNNING = idempotency.c.state == "running"
_SELECT = select(idempotency).where(_SAME).with_for_update()
_INSERT = insert(idempotency)
_FINISH = update(idempotency).where(_SAME)
_RELEASE = delete(idempotency).where(_SAME, _IS_RUNNING)
_RELEASE_ALL = delete(idempotency).where(_IS_RUNNING)
_PRUNE = delete(idempotency).where(idempotency.c.created_at < bindparam("older_than"))


class IdempotencyRows:
    """Rows of the table of claimed keys, inside the transaction of the caller."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def claim(self, claim: Claim, now: float) -> StoredAnswer | None:
        """See `Idempotency.claim`."""
        row = self._connection.execute(_SELECT, _same(claim)).mappings().one_or_none()
        if row is not None:
            headers = from_json(row["headers"]) if row["headers"] else []
            return StoredAnswer(
                body_digest=row["body_digest"],
                state=row["state"],
                job_id=row["job_id"],
                status=row["status"],
                headers=tuple((name, value) for name, value in headers),
                body=row["body"],
                created_at=row["created_at"],
            )
        values = {
            "owner": claim.owner,
            "route": claim.route,
            "key": claim.key,
            "body_digest": claim.body_digest,
            "state": "running",
            "created_at": now,
        }
        self._connection.execute(_INSERT, values)
        return None

    def lead_to(self, claim: Claim, job_id: str) -> None:
        """The claimed request made a job, which stands for its answer."""
        self._connection.execute(_FINISH, {**_same(claim), "state": "done", "job_id": job_id})

    def finish(
        self, claim: Claim, status: int, headers: tuple[tuple[str, str], ...], body: bytes | None
    ) -> None:
        """See `Idempotency.finish`."""
        values = {"state": "done", "status": status, "headers": to_json(headers), "body": body}
        self._connection.execute(_FINISH, {**_same(claim), **values})

    def release(self, claim: Claim) -> None:
        """See `Idempotency.release`."""
        self._connection.execute(_RELEASE, _same(claim))

    def release_running(self) -> int:
        """Give up all that is running; how many."""
        return self._connection.execute(_RELEASE_ALL).rowcount

    def prune(self, older_than: float) -> int:
        """See `Idempotency.prune`."""
        return self._connection.execute(_PRUNE, {"older_than": older_than}).rowcount


def _same(claim: Claim) -> dict[str, Any]:
    return {"of_owner": claim.owner, "of_route": claim.route, "of_key": claim.key}
