"""Decisions on what agents ask before they act. A key decides for its own prompts, unless its
scopes say otherwise."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field

from ...errors import Conflict, NotFound, StoreUnavailable
from ..endpoint import CALLER, ENGINE, Returns, body_of, endpoint
from .jobs import JOBS
from .models import Body
from .performing import json_response

Decision = Literal["allow", "deny"]


class DecisionRequest(Body):
    """Whether the agent may do what it asked for."""

    decision: Decision

    message: Annotated[str, Field(max_length=10_000)] = ""
    """What you say about it; with `deny` the agent is told, where its protocol can."""


class DecisionAnswer(Body):
    """What was decided."""

    approval_id: str
    decision: Decision


@endpoint(
    "POST",
    "/approvals/{approval}",
    body=DecisionRequest,
    summary="Decide what an agent asks.",
    operation="decideApproval",
    returns=(Returns(DecisionAnswer),),
    raises=(NotFound, Conflict),
)
async def decide(request: web.Request) -> web.StreamResponse:
    """Decide a question that came in a stream or in the events of a job."""
    return _decided(request)


@endpoint(
    "POST",
    "/jobs/{id}/approvals/{approval}",
    body=DecisionRequest,
    summary="Decide what an agent asks in a job.",
    operation="decideJobApproval",
    returns=(Returns(DecisionAnswer),),
    raises=(NotFound, Conflict, StoreUnavailable),
)
async def decide_in_job(request: web.Request) -> web.StreamResponse:
    """Decide a question that came in the events of this job."""
    running = request.app[JOBS]
    job = await running.find(request.match_info["id"], request[CALLER].sees)
    if running.has_asked(job.id, request.match_info["approval"]):
        return _decided(request)
    if job.ended_at is not None:
        raise Conflict("the job has ended, and nothing of it can be decided", param="id")
    raise NotFound("there is no such approval in this job", param="approval")


ENDPOINTS = (decide, decide_in_job)


def _decided(request: web.Request) -> web.Response:
    body = body_of(request, DecisionRequest)
    decision = request.app[ENGINE].approvals.decide(
        request.match_info["approval"],
        request[CALLER].sees,
        allowed=body.decision == "allow",
        message=body.message or None,
    )
    return json_response(DecisionAnswer(approval_id=decision.id, decision=body.decision))
