"""Bodies and parameters of the routes of jobs."""

from __future__ import annotations

import json
from typing import Any, Literal

from ...errors import ClinvkError
from ...store import JobEvent, StoredJob
from ..dialect import Encoder
from ..stream import EVENT_STREAM
from .encoder import error_content
from .models import Body
from .operation import Kind
from .session_models import Page, Query, timestamp

Status = Literal["queued", "running", "completed", "failed", "canceled", "interrupted"]


class JobsQuery(Page):
    """Which jobs are wanted; all conditions must hold."""

    kind: Kind | None = None
    """What it does."""

    status: Status | None = None
    """How far it is."""


class EventsQuery(Query):
    """Which events of a job are wanted."""

    after: str | None = None
    """The number of the last event that is known; the header Last-Event-ID wins."""


class JobAnswer(Body):
    """One job; members without a value are left out."""

    id: str
    kind: str
    status: Status
    """The last four are final; ``interrupted`` means that the daemon ended under it."""
    created_at: str
    started_at: str | None = None
    ended_at: str | None = None
    key: str | None = None
    """Name of the API key it belongs to."""
    request: dict[str, Any] | None = None
    """What was asked."""
    output: list[dict[str, Any]] | None = None
    """The text of each prompt so far, as long as there is no result."""
    last_event: int | None = None
    """The number of its last event."""
    result: dict[str, Any] | None = None
    """What the request would have been answered with, once it is completed."""
    error: dict[str, Any] | None = None
    """Why it failed."""
    notice: str | None = None
    """Why what was asked and answered is not there any more."""


class JobsAnswer(Body):
    """A page of jobs, the newest first."""

    jobs: list[JobAnswer]
    total: int
    """Without the limit."""
    limit: int
    offset: int


def job_answer(
    job: StoredJob,
    *,
    output: list[dict[str, Any]] | None = None,
    last_event: int | None = None,
    notice: str | None = None,
) -> JobAnswer:
    """A job as the native API tells it."""
    return JobAnswer(
        id=job.id,
        kind=job.kind,
        status=job.status,
        created_at=timestamp(job.created_at),
        started_at=None if job.started_at is None else timestamp(job.started_at),
        ended_at=None if job.ended_at is None else timestamp(job.ended_at),
        key=job.owner or None,
        request=job.request or None,
        output=output,
        last_event=last_event,
        result=job.result,
        error=job.error,
        notice=notice,
    )


class Texts:
    """The texts of a job's prompts so far, from its events."""

    def __init__(self) -> None:
        self._texts: dict[tuple[tuple[str, Any], ...], list[str]] = {}

    def add(self, event: JobEvent) -> None:
        """Take the text of the next event, if it has one."""
        told = json.loads(event.data)
        if told["type"] != "message":
            return
        names = ("task", "step", "name", "index", "judge", "backend")
        lane = tuple((name, told[name]) for name in names if name in told)
        self._texts.setdefault(lane, []).append(told["content"]["text"])

    def output(self) -> list[dict[str, Any]]:
        """For each prompt that has said something, whose text it is and the text."""
        return [{**dict(lane), "output": "".join(t)} for lane, t in self._texts.items()]


class Steps:
    """The steps of a chain that succeeded, from its events."""

    def __init__(self) -> None:
        self._texts: dict[int, list[str]] = {}
        self._done: set[int] = set()

    def add(self, event: JobEvent) -> None:
        """Take what the next event says of a step."""
        match json.loads(event.data):
            case {"type": "message", "step": int(step), "content": {"text": str(text)}}:
                self._texts.setdefault(step, []).append(text)
            case {"type": "complete", "step": int(step), "content": {"exit_code": 0}}:
                self._done.add(step)

    def outputs(self, known: int) -> list[str]:
        """Outputs of the steps after the first `known` ones; a step that failed ends them."""
        found: list[str] = []
        while (step := known + len(found) + 1) in self._done:
            found.append("".join(self._texts.get(step, ())))
        return found


class EventsEncoder(Encoder[list[JobEvent]]):
    """Stored events, as they were; in an event stream each with its number as its id."""

    def __init__(self, content_type: str) -> None:
        self.content_type = content_type
        self._sse = content_type == EVENT_STREAM

    def feed(self, batch: list[JobEvent]) -> bytes:
        """The events, one after the other."""
        form = "id: {0}\ndata: {1}\n\n" if self._sse else "{1}\n"
        return "".join(form.format(event.sequence, event.data) for event in batch).encode()

    def substantial(self, batch: list[JobEvent]) -> bool:
        """Every event is what the caller waits for."""
        return bool(batch)

    def fail(self, error: ClinvkError) -> bytes:
        """An event without a number: it is none of the job's."""
        line = json.dumps({"type": "error", "content": error_content(error)})
        return (f"data: {line}\n\n" if self._sse else f"{line}\n").encode()
