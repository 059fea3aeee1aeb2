"""Stored jobs: work that goes on without a caller, and all it told on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from .canonical import JsonObject
from .idempotency import Claim

if TYPE_CHECKING:
    from .volatile import VolatileJobs
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
        request: the body as received, without secrets; empty when its content was in memory alone
            and is there no more.
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

    Args:
        contents: holds what must not be stored of jobs.
    """

    def __init__(self, worker: Worker, contents: VolatileJobs) -> None:
        self._worker = worker
        self._contents = contents

    async def create(
        self, job: StoredJob, claim: Claim | None = None, *, content: bool = True
    ) -> None:
        """Keep a new job; a claim of its request's idempotency key is answered by it from now on.

        Args:
            content: whether request, events, result and errors' words are stored; else they are in
                memory alone, and stored is that the job was.

        Raises:
            ValueError: there is a job of that id.
        """
        if content:
            await self._worker.write(lambda database: database.jobs.create(job, claim))
            return
        bare = replace(job, request={})
        await self._worker.write(lambda database: database.jobs.create(bare, claim))
        self._contents.add(job)

    async def get(self, job_id: str, owner: str | None) -> StoredJob | None:
        """The job of that id, or None."""
        job = await self._worker.read(lambda database: database.jobs.get(job_id, owner))
        return None if job is None else self._contents.completed(job)

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
        page = await self._worker.read(
            lambda database: database.jobs.list(owner, kind, status, limit, offset)
        )
        return JobPage(tuple(map(self._with_words, page.jobs)), page.total)

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
        if not self._contents.runs(job_id):
            return await self._worker.write(
                lambda database: database.jobs.finish(job_id, status, now, result, error, events)
            )
        bare = None if error is None else _without_words(error)
        ended = await self._worker.write(
            lambda database: database.jobs.finish(job_id, status, now, None, bare, ())
        )
        self._contents.finish(job_id, now, result, error, events)
        return ended

    async def append(self, job_id: str, events: Sequence[JobEvent]) -> None:
        """Keep the next events of a job, all or none.

        Raises:
            ValueError: there is no such job, or it has an event of one of these numbers.
        """
        if not self._contents.append(job_id, events):
            await self._worker.write(lambda database: database.jobs.append(job_id, events))

    async def events(
        self, job_id: str, owner: str | None, *, after: int = 0, limit: int = 1000
    ) -> tuple[JobEvent, ...]:
        """Events with a number above `after`, in their order; none when there is no such job."""
        held = self._contents.events(job_id, owner)
        if held is not None:
            return tuple(held[after : after + limit])  # they count from 1 without gaps
        return await self._worker.read(
            lambda database: database.jobs.events(job_id, owner, after, limit)
        )

    async def last_event(self, job_id: str, owner: str | None) -> int:
        """The number of the last event; 0 when there is none."""
        if (held := self._contents.events(job_id, owner)) is not None:
            return len(held)
        return await self._worker.read(lambda database: database.jobs.last_event(job_id, owner))

    async def delete(self, job_id: str, owner: str | None) -> bool:
        """Forget a job and its events; False when there is no such job."""
        deleted = await self._worker.erase(lambda database: database.jobs.delete(job_id, owner))
        if deleted:
            self._contents.drop(job_id)
        return deleted

    async def prune(self, older_than: float, most: int) -> int:
        """Forget up to `most` final jobs that ended before `older_than`; how many."""
        self._contents.prune(older_than)
        return await self._worker.erase(lambda database: database.jobs.prune(older_than, most))

    def _with_words(self, job: StoredJob) -> StoredJob:
        return replace(job, error=self._contents.completed(job).error)


def _without_words(error: JsonObject) -> JsonObject:
    """An error object without what it says, because agents repeat in it what they were told."""
    told: JsonObject = {name: error[name] for name in ("code", "type") if name in error}
    return {**told, "message": "what it said was in memory only, and is gone"}
