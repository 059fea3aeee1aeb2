"""Handlers of the native API."""

from __future__ import annotations

from aiohttp import web
from pydantic_core import to_json

from ...engine import AnyTurn
from ...events import Completed, Opened
from ...intake import Approved
from ...prompt import ToolUse
from ...sessions import SessionStore
from ..dialect import CLIENT, IGNORED
from ..endpoint import ENGINE, body_of, endpoint
from ..stream import EVENT_STREAM, NDJSON, stream
from .encoder import NativeEncoder
from .models import DryRunAnswer, PromptAnswer, PromptRequest, usage_content
from .rehearsal import rehearse


@endpoint("POST", "/prompt", body=PromptRequest, summary="Ask an agent.")
async def prompt(request: web.Request) -> web.StreamResponse:
    """Run one prompt; one JSON object, or a stream when the caller asks for one."""
    engine = request.app[ENGINE]
    body = body_of(request, PromptRequest)
    session = engine.sessions.get(body.session_id, CLIENT) if body.session_id else None
    approved = await engine.approve(body.asked(session))
    headers = _headers(approved, body)
    if body.dry_run or engine.settings.unified_flags.dry_run:
        return _json(rehearse(engine.pool(approved.prompt.backend), approved.prompt), headers)
    kept = None if approved.prompt.ephemeral else body.session_id or SessionStore.new_id()
    content_type = _streamed(request, body, engine.settings.output.format)
    metadata = body.metadata or (session.metadata if session else {})
    async with engine.turn(approved.prompt, kept, metadata) as turn:
        if content_type is None:
            return _json(await _collect(turn, kept), headers)
        return await stream(
            request,
            turn,
            NativeEncoder(turn, kept, content_type),
            server=engine.settings.server,
            headers=headers,
        )


@endpoint("GET", "/backends", summary="Backends, and which of them can be used.")
async def backends(request: web.Request) -> web.StreamResponse:
    """All enabled backends in the order of the configuration."""
    reports = [
        {
            "name": report.name,
            "available": report.reason is None,
            **({"reason": report.reason} if report.reason else {}),
            **({"version": report.version} if report.version else {}),
        }
        for report in request.app[ENGINE].report()
    ]
    return web.json_response(body=to_json({"backends": reports}))


ENDPOINTS = (prompt, backends)


async def _collect(turn: AnyTurn, session_id: str | None) -> PromptAnswer:
    model = None
    completed = Completed()
    async for events in turn:
        for event in events:
            match event:
                case Opened(model=str(name)):
                    model = name
                case Completed():
                    completed = event
    return PromptAnswer(
        session_id=session_id,
        backend=turn.prompt.backend,
        model=model,
        duration_ms=round(turn.seconds * 1000),
        output=turn.reply.text,
        stop_reason=completed.stop_reason,
        tool_calls=[
            {"id": block.id, "name": block.name, "input": block.input}
            for block in turn.reply.content
            if isinstance(block, ToolUse)
        ]
        or None,
        token_usage=usage_content(completed.usage),
        cost_usd=completed.cost_usd,
        agent_session_id=turn.agent_session_id,
    )


def _streamed(request: web.Request, body: PromptRequest, default: str) -> str | None:
    """Content type of the stream the caller wants, or None for one object."""
    accept = request.headers.get("Accept", "")
    for content_type in (EVENT_STREAM, NDJSON):
        if content_type in accept:
            return content_type
    wanted = body.output_format if body.output_format not in ("", "default") else default
    return NDJSON if wanted == "stream-json" else None


def _headers(approved: Approved, body: PromptRequest) -> dict[str, str]:
    ignored = (*approved.ignored, *(("verbose",) if body.verbose else ()))
    return {IGNORED: ", ".join(ignored)} if ignored else {}


def _json(answer: PromptAnswer | DryRunAnswer, headers: dict[str, str]) -> web.Response:
    return web.Response(
        body=answer.model_dump_json(exclude_none=True).encode(),
        content_type="application/json",
        headers=headers,
    )
