"""What of the store is in memory alone, because its content is not to be stored.

The database then knows only that it was; what it was is here until it is forgotten, there is no
room for it any more, or the daemon ends. Used by the event loop alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from .canonical import JsonObject, to_json
from .idempotency import Claim, HeldAnswer
from .jobs import JobEvent, StoredJob

MOST_BYTES = 128 * 1024 * 1024
"""About the most bytes of what has ended, for jobs and for answers each."""


@dataclass(slots=True)
class _HeldJob:
    job: StoredJob
    size: int
    events: list[JobEvent] = field(default_factory=list)
    ended_at: float | None = None


class VolatileJobs:
    """Requests, events, results and errors of jobs.

    A job that has not ended is always held; of the others the one that ended first goes first.

    Args:
        most_bytes: about the most bytes of those that have ended; the last one may be larger.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._unfinished: dict[str, _HeldJob] = {}
        self._ended: OrderedDict[str, _HeldJob] = OrderedDict()
        self._bytes = 0
        self._most_bytes = most_bytes

    def add(self, job: StoredJob) -> None:
        """Hold a new job."""
        self._unfinished[job.id] = _HeldJob(job, len(to_json(job.request)))

    def runs(self, job_id: str) -> bool:
        """Whether the content of that job is here, and its end is not."""
        return job_id in self._unfinished

    def append(self, job_id: str, events: Sequence[JobEvent]) -> bool:
        """Hold the next events of a job; False when it is none that is here and runs."""
        held = self._unfinished.get(job_id)
        if held is None:
            return False
        held.events.extend(events)
        held.size += sum(len(event.data) for event in events)
        return True

    def finish(
        self,
        job_id: str,
        now: float,
        result: JsonObject | None,
        error: JsonObject | None,
        events: Sequence[JobEvent],
    ) -> None:
        """Hold the end of a job that is here and runs."""
        self.append(job_id, events)
        held = self._unfinished.pop(job_id)
        held.job = replace(held.job, result=result, error=error)
        held.size += 0 if result is None else len(to_json(result))
        held.ended_at = now
        self._ended[job_id] = held
        self._bytes += held.size
        while self._bytes > self._most_bytes and len(self._ended) > 1:
            self.drop(next(iter(self._ended)))

    def completed(self, job: StoredJob) -> StoredJob:
        """A job as the database knows it, with what is held of it."""
        held = self._unfinished.get(job.id) or self._ended.get(job.id)
        if held is None:
            return job
        # The database may know of the end a moment before it is here.
        error = held.job.error if held.ended_at is not None else job.error
        return replace(job, request=held.job.request, result=held.job.result, error=error)

    def events(self, job_id: str, owner: str | None) -> Sequence[JobEvent] | None:
        """All events so far of a job that is here, none of another owner's; None for others."""
        held = self._unfinished.get(job_id) or self._ended.get(job_id)
        if held is None:
            return None
        return held.events if owner in (None, held.job.owner) else ()

    def drop(self, job_id: str) -> None:
        """Hold it no longer."""
        self._unfinished.pop(job_id, None)
        if (held := self._ended.pop(job_id, None)) is not None:
            self._bytes -= held.size

    def prune(self, older_than: float) -> None:
        """Forget what ended before `older_than`, seconds since the epoch."""
        old = [
            name
            for name, held in self._ended.items()
            if held.ended_at is not None and held.ended_at < older_than
        ]
        for name in old:
            self.drop(name)


class VolatileAnswers:
    """Answers that stand for idempotency keys; the oldest goes first.

    Args:
        most_bytes: about the most bytes of their bodies; the last one may be larger.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._answers: OrderedDict[tuple[str, str, str], HeldAnswer] = OrderedDict()
        self._bytes = 0
        self._most_bytes = most_bytes

    def put(self, claim: Claim, answer: HeldAnswer) -> None:
        """Hold the answer of a claimed request."""
        self._forget(_identity(claim))
        self._answers[_identity(claim)] = answer
        self._bytes += len(answer.body)
        while self._bytes > self._most_bytes and len(self._answers) > 1:
            self._forget(next(iter(self._answers)))

    def get(self, claim: Claim) -> HeldAnswer | None:
        """The answer of an earlier request with the same key, if it is here."""
        return self._answers.get(_identity(claim))

    def prune(self, older_than: float) -> None:
        """Forget what is here since before `older_than`, seconds since the epoch."""
        for name in [name for name, held in self._answers.items() if held.since < older_than]:
            self._forget(name)

    def _forget(self, identity: tuple[str, str, str]) -> None:
        if (held := self._answers.pop(identity, None)) is not None:
            self._bytes -= len(held.body)


def _identity(claim: Claim) -> tuple[str, str, str]:
    return claim.owner, claim.route, claim.key
