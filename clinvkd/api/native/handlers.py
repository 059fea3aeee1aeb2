"""Handlers of the native API."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ..endpoint import CALLER, ENGINE, TURN_ERRORS, Returns, endpoint
from ..stream import EVENT_STREAM, NDJSON
from .event_types import LaneEvent, PromptEvent
from .job_models import JobAnswer
from .models import BackendAnswer, BackendsAnswer, DryRunAnswer, PromptAnswer, PromptRequest
from .performing import json_response, perform
from .prompting import PROMPT
from .workflow_models import (
    ChainAnswer,
    ChainRequest,
    CompareAnswer,
    CompareRequest,
    DryRuns,
    ParallelAnswer,
    ParallelRequest,
)
from .workflows import CHAIN, COMPARE, PARALLEL


def _performed(answer: Any, event: Any) -> tuple[Returns, ...]:
    """What an operation answers with; `answer` is the type of the whole, `event` of a part."""
    return (
        Returns(answer, "The whole answer, or with `dry_run` what would be done."),
        Returns(
            event, "One event after the other, as they happen.", media_types=(EVENT_STREAM, NDJSON)
        ),
        Returns(JobAnswer, "With `background`: the job that was started.", 202),
    )


@endpoint(
    "POST",
    "/prompt",
    body=PromptRequest,
    summary="Ask an agent.",
    operation="sendPrompt",
    returns=_performed(PromptAnswer | DryRunAnswer, PromptEvent),
    raises=TURN_ERRORS,
)
async def prompt(request: web.Request) -> web.StreamResponse:
    """Run one prompt."""
    return await perform(request, PROMPT)


@endpoint(
    "POST",
    "/parallel",
    body=ParallelRequest,
    summary="Ask several things at once.",
    operation="runParallel",
    returns=_performed(ParallelAnswer | DryRuns, LaneEvent),
    raises=TURN_ERRORS,
)
async def parallel(request: web.Request) -> web.StreamResponse:
    """Run several prompts at the same time."""
    return await perform(request, PARALLEL)


@endpoint(
    "POST",
    "/chain",
    body=ChainRequest,
    summary="Ask step by step.",
    operation="runChain",
    returns=_performed(ChainAnswer | DryRuns, LaneEvent),
    raises=TURN_ERRORS,
)
async def chain(request: web.Request) -> web.StreamResponse:
    """Run prompts one after the other, each with what those before it answered."""
    return await perform(request, CHAIN)


@endpoint(
    "POST",
    "/compare",
    body=CompareRequest,
    summary="Ask several agents the same.",
    operation="runCompare",
    returns=_performed(CompareAnswer | DryRuns, LaneEvent),
    raises=TURN_ERRORS,
)
async def compare(request: web.Request) -> web.StreamResponse:
    """Run one prompt on several backends and show the answers side by side."""
    return await perform(request, COMPARE)


@endpoint(
    "GET",
    "/backends",
    summary="Backends, and which of them can be used.",
    operation="listBackends",
    returns=(Returns(BackendsAnswer),),
)
async def backends(request: web.Request) -> web.StreamResponse:
    """All enabled backends that the key is for, in the order of the configuration."""
    scopes = request[CALLER].scopes
    reports = [
        BackendAnswer(
            name=report.name,
            available=report.reason is None,
            reason=report.reason or None,
            version=report.version or None,
        )
        for report in request.app[ENGINE].report()
        if scopes.allows_backend(report.name)
    ]
    return json_response(BackendsAnswer(backends=reports))


ENDPOINTS = (prompt, parallel, chain, compare, backends)
