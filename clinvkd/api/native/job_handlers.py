"""Jobs over HTTP. A key sees and touches its own, unless its scopes say otherwise."""

from __future__ import annotations

from aiohttp import web

from ...errors import Conflict, InvalidRequest, NotFound, StoreUnavailable
from ...store import StoredJob
from ..accepting import accepted
from ..endpoint import CALLER, CLAIM, ENGINE, JOB, TURN_ERRORS, Returns, endpoint, query_of
from ..stream import EVENT_STREAM, NDJSON, stream
from .event_types import LaneEvent
from .job_models import (
    EventsEncoder,
    EventsQuery,
    JobAnswer,
    JobsAnswer,
    JobsQuery,
    Steps,
    Texts,
    job_answer,
)
from .jobs import JOBS
from .performing import json_response
from .session_models import DeletedAnswer
from .workflow_models import ChainRequest
from .workflows import CHAIN

_ERRORS = (NotFound, StoreUnavailable)
_FORGOTTEN = (
    "what was asked and answered in this job was in memory only (session.store_content is off),"
    " and is gone"
)


@endpoint(
    "GET",
    "/jobs",
    query=JobsQuery,
    summary="Jobs.",
    operation="listJobs",
    returns=(Returns(JobsAnswer),),
    raises=(StoreUnavailable,),
)
async def jobs(request: web.Request) -> web.StreamResponse:
    """A page of jobs, the newest first."""
    query = query_of(request, JobsQuery)
    page = await request.app[ENGINE].store.jobs.list(
        request[CALLER].sees,
        kind=query.kind,
        status=query.status,
        limit=query.limit,
        offset=query.offset,
    )
    return json_response(
        JobsAnswer(
            jobs=[job_answer(job) for job in page.jobs],
            total=page.total,
            limit=query.limit,
            offset=query.offset,
        )
    )


@endpoint(
    "GET",
    "/jobs/{id}",
    summary="One job, with what it has said so far.",
    operation="getJob",
    returns=(Returns(JobAnswer),),
    raises=_ERRORS,
)
async def job(request: web.Request) -> web.StreamResponse:
    """A job and its result, or as long as there is none its output."""
    owner, store = request[CALLER].sees, request.app[ENGINE].store.jobs
    found = await request.app[JOBS].find(request.match_info["id"], owner)
    output = None
    if _forgotten(found):
        return json_response(job_answer(found, notice=_FORGOTTEN))
    if found.result is None:
        texts, last = Texts(), 0
        while events := await store.events(found.id, owner, after=last):
            last = events[-1].sequence
            for event in events:
                texts.add(event)
        output = texts.output()
    else:
        last = await store.last_event(found.id, owner)
    return json_response(job_answer(found, output=output, last_event=last))


@endpoint(
    "GET",
    "/jobs/{id}/events",
    query=EventsQuery,
    headers={"Last-Event-ID": "The number of the last event that is known; wins over `after`."},
    summary="The events of a job, live.",
    operation="followJob",
    returns=(
        Returns(
            LaneEvent, "The events, until the job has ended.", media_types=(EVENT_STREAM, NDJSON)
        ),
        Returns(None, "The job has ended, and there are no other events.", 204),
    ),
    raises=_ERRORS,
)
async def events(request: web.Request) -> web.StreamResponse:
    """All events after the one that is known, until the job has ended.

    An event stream that was cut goes on with ``Last-Event-ID``; 204 says that nothing will come.
    """
    query = query_of(request, EventsQuery)
    engine, running = request.app[ENGINE], request.app[JOBS]
    owner = request[CALLER].sees
    found = await running.find(request.match_info["id"], owner)
    if _forgotten(found):
        raise NotFound(_FORGOTTEN, param="id")
    after = _number(request.headers.get("Last-Event-ID") or query.after or "0")
    last = await engine.store.jobs.last_event(found.id, owner)
    if after > last:
        raise InvalidRequest(
            f"the last event of this job so far is {last}; {after} is yet to come",
            param="Last-Event-ID",
        )
    if after == last and found.ended_at is not None:
        return web.Response(status=204)
    content_type = accepted(request, (NDJSON,), EVENT_STREAM)
    return await stream(
        request,
        running.events(found.id, owner, after),
        EventsEncoder(content_type),
        server=engine.settings.server,
        headers={},
    )


@endpoint(
    "DELETE",
    "/jobs/{id}",
    summary="Cancel a job, or delete one that has ended.",
    operation="cancelJob",
    returns=(
        Returns(JobAnswer | DeletedAnswer, "The job that was canceled, or what was deleted."),
    ),
    raises=(*_ERRORS, Conflict),
)
async def delete(request: web.Request) -> web.StreamResponse:
    """Stop a job that waits or runs; forget one that has ended."""
    owner, running = request[CALLER].sees, request.app[JOBS]
    found = await running.find(request.match_info["id"], owner)
    if found.ended_at is None:
        await running.cancel(found.id)
        return json_response(job_answer(await running.find(found.id, owner)))
    if not await request.app[ENGINE].store.jobs.delete(found.id, owner):
        raise Conflict("somebody else has just deleted it", param="id")
    return json_response(DeletedAnswer(id=found.id))


@endpoint(
    "POST",
    "/jobs/{id}/resume",
    summary="Go on with a chain where it ended.",
    operation="resumeJob",
    returns=(Returns(JobAnswer, "The job that goes on.", 202),),
    raises=TURN_ERRORS,
)
async def resume(request: web.Request) -> web.StreamResponse:
    """A new job for the steps of a chain that have not succeeded."""
    caller, running = request[CALLER], request.app[JOBS]
    if (name := request.get(JOB)) is not None:
        return json_response(job_answer(await running.find(name, caller.name)), status=202)
    engine = request.app[ENGINE]
    found = await running.find(request.match_info["id"], caller.sees)
    if found.kind != CHAIN.kind:
        raise InvalidRequest(f"this job is a {found.kind}; only a chain has steps", param="id")
    if found.ended_at is None:
        raise Conflict("the job has not ended yet", param="id")
    if _forgotten(found):
        raise NotFound(_FORGOTTEN, param="id")
    steps = Steps()
    async for events in running.events(found.id, found.owner, 0):
        for event in events:
            steps.add(event)
    done = ChainRequest.model_validate(found.request).done()
    done += steps.outputs(len(done))
    asked = {**found.request, "results": [{"exit_code": 0, "output": each} for each in done]}
    ready = await CHAIN.prepare(engine, caller, ChainRequest.model_validate(asked))
    job = await running.start(CHAIN.kind, caller.name, asked, ready, request.get(CLAIM))
    request[JOB] = job.id
    return json_response(job_answer(job), status=202)


ENDPOINTS = (jobs, job, events, delete, resume)


def _forgotten(job: StoredJob) -> bool:
    """Whether the store knows only that the job was."""
    return not job.request


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise InvalidRequest(
            "the number of an event is digits, as its id said", param="Last-Event-ID"
        )
    return int(text)
