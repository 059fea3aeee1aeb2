"""Answers an operation in the way its caller wants: one object, or a stream."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web
from pydantic import BaseModel

from ...errors import InvalidRequest
from ..accepting import accepted
from ..dialect import IGNORED
from ..endpoint import CALLER, CLAIM, ENGINE, JOB, JSON, body_of
from ..stream import EVENT_STREAM, NDJSON, stream
from .job_models import job_answer
from .jobs import JOBS
from .models import OperationRequest
from .operation import Asking, Operation, Ready


async def perform(request: web.Request, operation: Operation[Asking]) -> web.StreamResponse:
    """Check the request, run it, answer it."""
    engine = request.app[ENGINE]
    if (name := request.get(JOB)) is not None:
        job = await request.app[JOBS].find(name, request[CALLER].name)
        return json_response(job_answer(job), status=202, headers=_place(job.id))
    body = body_of(request, operation.body)
    ready = await operation.prepare(engine, request[CALLER], body)
    headers = _headers(ready)
    if body.dry_run or engine.settings.unified_flags.dry_run:
        return json_response(ready.rehearse(), headers=headers)
    if body.background:
        return await _in_background(request, operation, body, ready)
    streamed = _streamed(request, body, engine.settings.output.format)
    if ready.asks is not None and streamed is None:
        raise InvalidRequest(
            f"{ready.asks} 'ask' needs somebody who is told what the agent asks: read the answer"
            " as a stream, or make a job of it with background; else give another mode",
            param=ready.asks,
        )
    async with ready.run(streamed or NDJSON) as running:
        if streamed is None:
            async for _ in running.batches:
                pass
            return json_response(running.answer(), headers=headers)
        return await stream(
            request,
            running.batches,
            running.encoder,
            server=engine.settings.server,
            headers=headers,
        )


async def _in_background(
    request: web.Request, operation: Operation[Asking], body: Asking, ready: Ready
) -> web.Response:
    asked = body.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if asked.get("ephemeral"):
        raise InvalidRequest(
            "a job keeps what it is told; leave out background or ephemeral", param="background"
        )
    claim = request.get(CLAIM)
    job = await request.app[JOBS].start(operation.kind, request[CALLER].name, asked, ready, claim)
    request[JOB] = job.id
    headers = {**_headers(ready), **_place(job.id)}
    return json_response(job_answer(job), status=202, headers=headers)


def _place(job_id: str) -> Mapping[str, str]:
    return {"Location": f"/api/v1/jobs/{job_id}"}


def json_response(
    answer: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """One JSON object; members without a value are left out."""
    return web.Response(
        status=status,
        body=answer.model_dump_json(exclude_none=True).encode(),
        content_type="application/json",
        headers=headers,
    )


def _streamed(request: web.Request, body: OperationRequest, default: str) -> str | None:
    """Content type of the stream the caller wants, or None for one object."""
    content_type = accepted(request, (EVENT_STREAM, NDJSON), JSON)
    if content_type != JSON:
        return content_type
    wanted = body.output_format if body.output_format not in ("", "default") else default
    return NDJSON if wanted == "stream-json" else None


def _headers(ready: Ready) -> Mapping[str, str]:
    return {IGNORED: ", ".join(ready.ignored)} if ready.ignored else {}
