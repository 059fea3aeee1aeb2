"""A request id, and one line in the log, one count and one span for every request."""

from __future__ import annotations

import re
import secrets
import time
from functools import partial

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ..api import dialect_of
from ..api.endpoint import ENGINE, Endpoint, endpoint_of
from ..api.metrics import METRICS
from ..config import Settings
from .methods import METHODS
from .signals import Headers

REQUEST_ID = web.RequestKey("request_id", str)
_SPAN = web.RequestKey("span", str)
_HEADER = "X-Request-Id"
_VALID = re.compile(r"[\w.:-]{1,128}", re.ASCII)

_log = structlog.get_logger("clinvkd.access")


def observe(_: Settings) -> Middleware:
    """Give the request an id (the caller's own, if it is well formed), log, count and trace it."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = request.headers.get(_HEADER, "")
        request_id = asked if _VALID.fullmatch(asked) else secrets.token_hex(8)
        request[REQUEST_ID] = request_id
        # aiohttp runs each request in a context of its own: nothing of another one is there.
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started = time.monotonic()
        status = 499  # the caller left
        declared = endpoint_of(request)
        place = _place(request, declared)
        metrics = request.app.get(METRICS)
        tracing = request.app[ENGINE].tracing
        try:
            handling = handler(request)
            if tracing is not None:
                tell = partial(request.__setitem__, _SPAN)
                handling = tracing.request(*place, request.headers, handling, tell)
            if metrics is not None:
                handling = metrics.timed(*place, handling)
            response = await handling
            status = response.status
            return response
        finally:
            if metrics is not None:
                metrics.count_request(*place, status)
            _log.info(
                "request",
                method=request.method,
                route=declared.path if declared else "unknown",
                status=status,
                ms=round((time.monotonic() - started) * 1000, 1),
            )

    return middleware


def _place(request: web.Request, declared: Endpoint | None) -> tuple[str, str]:
    """Method and path as they are counted: of the route, for a caller may write what he likes."""
    method = request.method if request.method in METHODS else "other"
    if declared is None:
        return method, "unknown"
    return method, dialect_of(request.path).prefix + declared.path


def request_id(_: Settings) -> Headers:
    """Put the id on every answer, under the name it has in the dialect."""

    def add(request: web.Request, response: web.StreamResponse) -> None:
        if REQUEST_ID in request:
            response.headers[dialect_of(request.path).request_id_header] = request[REQUEST_ID]

    return add


def trace_headers(_: Settings) -> Headers:
    """Tell which span the request was, where there are traces."""

    def add(request: web.Request, response: web.StreamResponse) -> None:
        if _SPAN in request:
            response.headers["traceresponse"] = request[_SPAN]

    return add
