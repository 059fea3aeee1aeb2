"""The statements behind `Jobs`, on any database SQLAlchemy speaks to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Boolean,
    Connection,
    RowMapping,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from .canonical import JsonObject, from_json, to_json
from .idempotency import Claim
from .idempotency_rows import IdempotencyRows
from .jobs import JobEvent, JobPage, JobStatus, StoredJob
from .schema import job_events, jobs

_UNFINISHED: tuple[JobStatus, ...] = ("queued", "running")

# Statements are built once: to build one costs more than to run it. What an update sets are the
# values it is run with, so the names of the conditions must be none of columns.
_OWNED = and_(
    jobs.c.id == bindparam("of_id"),
    or_(bindparam("anybody", type_=Boolean), jobs.c.owner == bindparam("of_owner")),
)
_HAS_ID = jobs.c.id == bindparam("of_id")
_IS_UNFINISHED = jobs.c.status.in_(_UNFINISHED)
_INSERT = insert(jobs)
_SELECT = select(jobs).where(_OWNED)
_DELETE = delete(jobs).where(_OWNED)
_START = update(jobs).where(_HAS_ID, jobs.c.status == "queued")
_FINISH = update(jobs).where(_HAS_ID, _IS_UNFINISHED)
_INTERRUPT = update(jobs).where(_IS_UNFINISHED)
_SELECT_OLD = (
    select(jobs.c.id)
    .where(~_IS_UNFINISHED, jobs.c.ended_at < bindparam("older_than"))
    .order_by(jobs.c.ended_at)
    .limit(bindparam("most"))
)
_DELETE_ALL = delete(jobs).where(jobs.c.id.in_(bindparam("ids", expanding=True)))
_INSERT_EVENTS = insert(job_events)
_SELECT_EVENTS = (
    select(job_events.c.sequence, job_events.c.data)
    .join(jobs, jobs.c.id == job_events.c.job_id)
    .where(_OWNED, job_events.c.sequence > bindparam("after"))
    .order_by(job_events.c.sequence)
    .limit(bindparam("most"))
)
_LAST_EVENT = (
    select(func.coalesce(func.max(job_events.c.sequence), 0))
    .join(jobs, jobs.c.id == job_events.c.job_id)
    .where(_OWNED)
)
_IN_PAGES = tuple(column for column in jobs.c if column.name not in ("request", "result"))


class JobRows:
    """Rows of the tables of jobs, inside the transaction of the caller."""

    def __init__(self, connection: Connection, idempotency: IdempotencyRows) -> None:
        self._connection = connection
        self._idempotency = idempotency

    def create(self, job: StoredJob, claim: Claim | None) -> None:
        """See `Jobs.create`."""
        values = {
            "id": job.id,
            "owner": job.owner,
            "kind": job.kind,
            "status": job.status,
            "created_at": job.created_at,
            "started_at": job.started_at,
            "ended_at": job.ended_at,
            "error": _document(job.error),
            "request": to_json(job.request),
            "result": _document(job.result),
        }
        try:
            self._connection.execute(_INSERT, values)
        except IntegrityError as error:
            raise ValueError("there is a job of that id") from error
        if claim is not None:
            self._idempotency.lead_to(claim, job.id)

    def get(self, job_id: str, owner: str | None) -> StoredJob | None:
        """See `Jobs.get`."""
        if not _possible(job_id):
            return None
        rows = self._connection.execute(_SELECT, _owned(job_id, owner)).mappings()
        row = rows.one_or_none()
        if row is None:
            return None
        return _job(row, request=from_json(row["request"]), result=_value(row["result"]))

    def list(
        self,
        owner: str | None,
        kind: str | None,
        status: JobStatus | None,
        limit: int,
        offset: int,
    ) -> JobPage:
        """See `Jobs.list`."""
        wanted = {jobs.c.owner: owner, jobs.c.kind: kind, jobs.c.status: status}
        where = [column == value for column, value in wanted.items() if value is not None]
        page = (
            select(*_IN_PAGES)
            .where(*where)
            .order_by(jobs.c.created_at.desc(), jobs.c.id.desc())
            .limit(limit)
            .offset(offset)
        )
        rows = self._connection.execute(page).mappings()
        found = tuple(_job(row, request={}, result=None) for row in rows)
        number = select(func.count()).select_from(jobs).where(*where)
        return JobPage(found, self._connection.execute(number).scalar_one())

    def start(self, job_id: str, now: float) -> bool:
        """See `Jobs.start`."""
        values = {"of_id": job_id, "status": "running", "started_at": now}
        return self._connection.execute(_START, values).rowcount > 0

    def finish(
        self,
        job_id: str,
        status: JobStatus,
        now: float,
        result: JsonObject | None,
        error: JsonObject | None,
        events: Sequence[JobEvent],
    ) -> bool:
        """See `Jobs.finish`."""
        values = {
            "of_id": job_id,
            "status": status,
            "ended_at": now,
            "result": _document(result),
            "error": _document(error),
        }
        if not self._connection.execute(_FINISH, values).rowcount:
            return False
        self.append(job_id, events)
        return True

    def append(self, job_id: str, events: Sequence[JobEvent]) -> None:
        """See `Jobs.append`."""
        if not events:
            return
        rows = [
            {"job_id": job_id, "sequence": event.sequence, "data": event.data} for event in events
        ]
        try:
            self._connection.execute(_INSERT_EVENTS, rows)
        except IntegrityError as error:
            raise ValueError("there is no such job, or it has such an event already") from error

    def events(
        self, job_id: str, owner: str | None, after: int, limit: int
    ) -> tuple[JobEvent, ...]:
        """See `Jobs.events`."""
        if not _possible(job_id):
            return ()
        values = {**_owned(job_id, owner), "after": after, "most": limit}
        return tuple(JobEvent(*row) for row in self._connection.execute(_SELECT_EVENTS, values))

    def last_event(self, job_id: str, owner: str | None) -> int:
        """See `Jobs.last_event`."""
        if not _possible(job_id):
            return 0
        return int(self._connection.execute(_LAST_EVENT, _owned(job_id, owner)).scalar_one())

    def delete(self, job_id: str, owner: str | None) -> bool:
        """See `Jobs.delete`."""
        if not _possible(job_id):
            return False
        return self._connection.execute(_DELETE, _owned(job_id, owner)).rowcount > 0

    def interrupt(self, now: float) -> int:
        """Mark all that are not final as interrupted; how many."""
        values = {"status": "interrupted", "ended_at": now}
        return self._connection.execute(_INTERRUPT, values).rowcount

    def prune(self, older_than: float, most: int) -> int:
        """See `Jobs.prune`."""
        values = {"older_than": older_than, "most": most}
        ids = self._connection.execute(_SELECT_OLD, values).scalars().all()
        self._connection.execute(_DELETE_ALL, {"ids": ids})
        return len(ids)


def _owned(job_id: str, owner: str | None) -> dict[str, Any]:
    return {"of_id": job_id, "anybody": owner is None, "of_owner": owner or ""}


def _possible(job_id: str) -> bool:
    """Whether it can be an id at all; databases refuse some texts (NUL, lone surrogates)."""
    return job_id.isascii() and job_id.isprintable()


def _document(value: JsonObject | None) -> str | None:
    return None if value is None else to_json(value)


def _value(document: str | None) -> JsonObject | None:
    return None if document is None else from_json(document)


def _job(row: RowMapping, *, request: JsonObject, result: JsonObject | None) -> StoredJob:
    return StoredJob(
        id=row["id"],
        owner=row["owner"],
        kind=row["kind"],
        status=row["status"],
        request=request,
        result=result,
        error=_value(row["error"]),
        created_at=row["created_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
    )
