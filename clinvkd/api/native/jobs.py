"""Jobs: operations that run without a caller, and keep all they tell."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import structlog
from aiohttp import web
from pydantic_core import from_json

from ...engine import Engine
from ...errors import Canceled, ClinvkError, InternalError, NotFound, ShuttingDown, StoreUnavailable
from ...store import Claim, JobEvent, JobStatus, StoredJob, insist
from ..endpoint import ENGINE
from ..stream import NDJSON
from .encoder import error_content
from .operation import Kind, Ready, Running

_ASKED = b'{"type":"approval_request",'

MOST_RECENT = 1000
"""Events of a running job that stay in memory for those who read along."""

_log = structlog.get_logger(__name__)


class JobLog:
    """The events of one running job.

    They are numbered from 1 and given to readers only once they are stored: an event that a
    reader has seen is there after any crash. As long as the store does not work they wait here.

    Attributes:
        asked: ids of what its agents asked the caller.
        problem: why the job's end could not be stored so far, or None.
        ended: nothing more will come.
    """

    def __init__(self, engine: Engine, job_id: str) -> None:
        self._jobs = engine.store.jobs
        self._id = job_id
        self._last = 0
        self._unstored: list[JobEvent] = []
        self._recent: deque[JobEvent] = deque(maxlen=MOST_RECENT)
        self._changed = asyncio.Event()
        self._wanted = asyncio.Event()
        self._whole = asyncio.Event()
        self.asked: set[str] = set()
        self.problem: StoreUnavailable | None = None
        self.ended = False
        self._storing = asyncio.get_running_loop().create_task(self._store(), name="store events")

    def add(self, lines: bytes) -> None:
        """Add lines of JSON, one event each."""
        for line in lines.splitlines():
            self._last += 1
            self._unstored.append(JobEvent(self._last, line.decode()))
            if line.startswith(_ASKED):
                self.asked.add(from_json(line)["content"]["approval_id"])
        if self._unstored:
            self._wanted.set()

    async def rest(self) -> tuple[JobEvent, ...]:
        """What is left to be stored with the job's end, once nothing more will be added."""
        self._whole.set()
        self._wanted.set()
        # Whatever went wrong with them, the end is to be stored.
        await asyncio.gather(self._storing, return_exceptions=True)
        return tuple(self._unstored)

    def rest_stored(self) -> None:
        """The rest was stored with the job's end."""
        self._publish(len(self._unstored))

    def not_stored(self, problem: StoreUnavailable) -> None:
        """The job's end could not be stored yet."""
        self.problem = problem
        self._tell()

    def end(self) -> None:
        """Nothing more will come; what is not stored is lost."""
        self._storing.cancel()
        self.ended = True
        self._tell()

    def after(self, sequence: int) -> list[JobEvent] | None:
        """Stored events above `sequence`, or None when the store has to be asked for them."""
        if self._recent and self._recent[0].sequence > sequence + 1:
            return None
        return [event for event in self._recent if event.sequence > sequence]

    def next_change(self) -> asyncio.Event:
        """What is set as soon as there is more, a problem, or the end."""
        return self._changed

    async def _store(self) -> None:
        """Store events as they come, all that wait at a time."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if self._whole.is_set():
                return
            events = tuple(self._unstored)
            try:
                await insist(partial(self._jobs.append, self._id, events), self._whole)
            except StoreUnavailable:
                return  # they are among the rest
            self._publish(len(events))

    def _publish(self, number: int) -> None:
        self._recent.extend(self._unstored[:number])
        del self._unstored[:number]
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Jobs:
    """The jobs of the daemon that run or wait.

    Args:
        engine: runs them.
        most: most jobs that run at once; others are queued.
    """

    def __init__(self, engine: Engine, most: int) -> None:
        self._engine = engine
        self._slots = asyncio.Semaphore(most)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._logs: dict[str, JobLog] = {}
        self._ending: set[str] = set()
        self._closing = asyncio.Event()

    async def start(
        self, kind: Kind, owner: str, request: dict[str, Any], ready: Ready, claim: Claim | None
    ) -> StoredJob:
        """Make a job of what is ready to run.

        Args:
            request: the body that asked for it.
            claim: an idempotency key that stands for the job from now on.

        Raises:
            StoreUnavailable: it cannot be kept, so it does not run.
        """
        job = StoredJob(
            id=secrets.token_hex(16),
            owner=owner,
            kind=kind,
            request=request,
            created_at=time.time(),
        )
        await self._engine.store.jobs.create(
            job, claim, content=self._engine.settings.session.store_content
        )
        self._logs[job.id] = JobLog(self._engine, job.id)
        task = asyncio.get_running_loop().create_task(self._run(job, ready), name=f"job {job.id}")
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self._forget(job.id))
        return job

    async def find(self, job_id: str, owner: str | None) -> StoredJob:
        """The job of that id.

        Raises:
            NotFound: there is none, or it is another's.
        """
        job = await self._engine.store.jobs.get(job_id, owner)
        if job is None:
            raise NotFound("there is no such job", param="id")
        return job

    def has_asked(self, job_id: str, approval_id: str) -> bool:
        """Whether an agent asked this in a job that is still running."""
        log = self._logs.get(job_id)
        return log is not None and approval_id in log.asked

    async def cancel(self, job_id: str) -> None:
        """Stop a job that runs or waits; returns when that is stored.

        Raises:
            StoreUnavailable: it is stopped, and that will be stored when the store works.
        """
        log = self._logs.get(job_id)
        if log is None:
            # Nobody runs it: it has just ended, or whoever ran it is gone.
            error = error_content(Canceled("canceled"))
            await self._engine.store.jobs.finish(job_id, "canceled", time.time(), error=error)
            return
        self._stop(job_id)
        while not log.ended:
            if log.problem is not None:
                raise StoreUnavailable(f"its end is not stored yet: {log.problem.message}")
            await log.next_change().wait()

    async def events(
        self, job_id: str, owner: str | None, after: int
    ) -> AsyncIterator[list[JobEvent]]:
        """The events above `after`, and while the job runs those to come, until its end."""
        jobs = self._engine.store.jobs
        while True:
            log = self._logs.get(job_id)
            ended = log is None or log.ended
            changed = None if log is None else log.next_change()
            events = None if log is None else log.after(after)
            if events is None:
                events = list(await jobs.events(job_id, owner, after=after))
            if events:
                after = events[-1].sequence
                yield events
            elif ended or changed is None:
                return
            else:
                await changed.wait()

    async def aclose(self) -> None:
        """Stop all; they are interrupted. An end that cannot be stored now is lost."""
        self._closing.set()
        for job_id in self._tasks:
            self._stop(job_id)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _stop(self, job_id: str) -> None:
        """Interrupt what runs, once; nothing interrupts how its end is stored."""
        task = self._tasks[job_id]
        if job_id not in self._ending and not task.cancelling():
            task.cancel()

    async def _run(self, job: StoredJob, ready: Ready) -> None:
        log = self._logs[job.id]
        result: dict[str, Any] | None = None
        failure: ClinvkError | None = None
        try:
            async with self._slots:
                jobs = self._engine.store.jobs
                if not await insist(lambda: jobs.start(job.id, time.time())):
                    return
                async with ready.run(NDJSON) as running:
                    result, failure = await self._play(running, log)
        except asyncio.CancelledError:
            closing = self._closing.is_set()
            failure = ShuttingDown("the daemon stopped") if closing else Canceled("canceled")
        except ClinvkError as error:
            failure = error
        except Exception:  # noqa: BLE001 - the last line of defence
            _log.exception("job failed", job=job.id)
            failure = InternalError("an internal error occurred")
        await self._end(job, log, result, failure)

    async def _end(
        self,
        job: StoredJob,
        log: JobLog,
        result: dict[str, Any] | None,
        failure: ClinvkError | None,
    ) -> None:
        """Store how a job ended, however long that takes, and only then tell its readers."""
        self._ending.add(job.id)
        finish = partial(
            self._engine.store.jobs.finish,
            job.id,
            _status(result, failure),
            time.time(),
            result=result,
            error=None if failure is None else error_content(failure),
            events=await log.rest(),
        )

        async def attempt() -> bool:
            try:
                return await finish()
            except StoreUnavailable as error:
                log.not_stored(error)
                raise

        try:
            if await insist(attempt, self._closing):
                log.rest_stored()
        except StoreUnavailable as error:
            _log.error("the end of a job is lost", job=job.id, reason=error.message)

    async def _play(
        self, running: Running[Any], log: JobLog
    ) -> tuple[dict[str, Any] | None, ClinvkError | None]:
        try:
            async for batch in running.batches:
                log.add(running.encoder.feed(batch))
        except ClinvkError as error:
            log.add(running.encoder.fail(error))
            return None, error
        return running.answer().model_dump(mode="json", exclude_none=True), None

    def _forget(self, job_id: str) -> None:
        self._logs[job_id].end()
        self._ending.discard(job_id)
        del self._tasks[job_id], self._logs[job_id]


JOBS = web.AppKey("JOBS", Jobs)


async def jobs(app: web.Application) -> AsyncIterator[None]:
    """Run jobs as long as the application runs; a `cleanup_ctx`."""
    app[JOBS] = running = Jobs(app[ENGINE], app[ENGINE].settings.parallel.max_jobs)
    yield
    await running.aclose()


def _status(result: dict[str, Any] | None, failure: ClinvkError | None) -> JobStatus:
    match failure:
        case None:
            # The prompts of a workflow fail one by one when the daemon stops.
            parts = (result or {}).get("results", [])
            stopped = any(part.get("error_code") == ShuttingDown.code for part in parts)
            return "interrupted" if stopped else "completed"
        case ShuttingDown():
            return "interrupted"
        case Canceled():
            return "canceled"
        case _:
            return "failed"
