"""Stored jobs: work that goes on without a caller, and all it told on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from .canonical import JsonObject
from .idempotency import Claim

if TYPE_CHECKING:
    from .worker import Worker

JobStatus: TypeAlias = Literal[
    "queued", "running", "completed", "failed", "canceled", "interrupted"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJob:
    """One job; what it holds must not be changed after it was given to the store.

    Attributes:
        id: nobody can guess it; printable ASCII.
        owner: name of the API key that made it; nobody else sees it.
        kind: what it does (``prompt``, ``parallel``, ``chain``, ``compare``).
        status: the last four are final; ``interrupted`` means that the daemon ended under it.
        request: the body as received, without secrets.
        result: what the request would have answered, once it is completed; or None.
        error: the error object, once it failed; or None.
        created_at: seconds since the epoch; so are the others.
        started_at: when it left the queue, or None.
        ended_at: when it became final, or None.
    """

    id: str
    owner: str
    kind: str
    status: JobStatus = "queued"
    request: JsonObject
    result: JsonObject | None = None
    error: JsonObject | None = None
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One event of a job; `sequence` counts from 1 without gaps, `data` is one line of JSON."""

    sequence: int
    data: str


@dataclass(frozen=True, slots=True)
class JobPage:
    """Jobs, newest first, and how many were found in all."""

    jobs: tuple[StoredJob, ...]
    total: int


class Jobs:
    """All stored jobs.

    Every method may raise `StoreUnavailable`; then nothing of the call has been kept.
    When a writing method returns, what it wrote survives the end of the process, however it ends.
    `owner` is whose job it has to be; None stands for anybody's.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def create(self, job: StoredJob, claim: Claim | None = None) -> None:
        """Keep a new job; a claim of its request's idempotency key is answered by it from now on.

        Raises:
            ValueError: there is a job of that id.
        """
        await self._worker.write(lambda database: database.jobs.create(job, claim))

    async def get(self, job_id: str, owner: str | None) -> StoredJob | None:
        """The job of that id, or None."""
        return await self._worker.read(lambda database: database.jobs.get(job_id, owner))

    async def list(
        self,
        owner: str | None,
        *,
        kind: str | None = None,
        status: JobStatus | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> JobPage:
        """A page of jobs, newest first; a filter that is None lets all pass.

        Their `request` and `result` are left out (empty and None): they may be large.
        """
        return await self._worker.read(
            lambda database: database.jobs.list(owner, kind, status, limit, offset)
        )

    async def start(self, job_id: str, now: float) -> bool:
        """A queued job runs; False when there is none such, or it is not queued any more."""
        return await self._worker.write(lambda database: database.jobs.start(job_id, now))

    async def finish(
        self,
        job_id: str,
        status: JobStatus,
        now: float,
        *,
        result: JsonObject | None = None,
        error: JsonObject | None = None,
        events: Sequence[JobEvent] = (),
    ) -> bool:
        """Make a job final, with its last events; the first final status stays.

        Of an end and a cancellation that meet, one wins; the other's events are not kept.

        Returns:
            False when there is no such job, or it is final already.
        """
        return await self._worker.write(
            lambda database: database.jobs.finish(job_id, status, now, result, error, events)
        )

    async def append(self, job_id: str, events: Sequence[JobEvent]) -> None:
        """Keep the next events of a job, all or none.

        Raises:
            ValueError: there is no such job, or it has an event of one of these numbers.
        """
        await self._worker.write(lambda database: database.jobs.append(job_id, events))

    async def events(
        self, job_id: str, owner: str | None, *, after: int = 0, limit: int = 1000
    ) -> tuple[JobEvent, ...]:
        """Events with a number above `after`, in their order; none when there is no such job."""
        return await self._worker.read(
            lambda database: database.jobs.events(job_id, owner, after, limit)
        )

    async def last_event(self, job_id: str, owner: str | None) -> int:
        """The number of the last event; 0 when there is none."""
        return await self._worker.read(lambda database: database.jobs.last_event(job_id, owner))

    async def delete(self, job_id: str, owner: str | None) -> bool:
        """Forget a job and its events; False when there is no such job."""
        return await self._worker.write(lambda database: database.jobs.delete(job_id, owner))

    async def prune(self, older_than: float, most: int) -> int:
        """Forget up to `most` final jobs that ended before `older_than`; how many."""
        return await self._worker.write(lambda database: database.jobs.prune(older_than, most))
