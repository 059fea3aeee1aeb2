"""A request id, and one line in the log, one count and one span for every request."""

from __future__ import annotations

import re
import time

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from multidict import istr

from ..access_log import REQUEST, AccessLog, new_request_id
from ..api.endpoint import ENGINE
from ..api.inspection import INSPECTION
from ..api.metrics import METRICS
from ..config import Settings
from .methods import METHODS
from .passage import Passage, begin
from .signals import Headers

ACCESS_LOG: web.AppKey[AccessLog] = web.AppKey("ACCESS_LOG")
"""Is told of every request."""

_HEADER = istr("X-Request-Id")
_VALID = re.compile(r"[\w.:-]{1,128}", re.ASCII)


def observe(_settings: Settings, app: web.Application) -> Middleware:
    """Give the request an id (the caller's own, if it is well formed), log, count and trace it."""
    metrics, access_log = app.get(METRICS), app[ACCESS_LOG]

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = request.headers.get(_HEADER)
        if request_id is None or not _VALID.fullmatch(request_id):
            request_id = new_request_id()
        passage = begin(request, request_id)
        method, route = _place(request, passage)
        # aiohttp runs each request in a context of its own: nothing of another one is there.
        REQUEST.set({"request_id": request_id})
        started = time.monotonic()
        status = 499  # the caller left
        response: web.StreamResponse | None = None
        if (inspection := app.get(INSPECTION)) is not None:
            inspection.began()
        try:
            handling = handler(request)
            if (tracing := app[ENGINE].tracing) is not None:

                def tell(span: str) -> None:
                    passage.span = span

                handling = tracing.request(method, route, request.headers, handling, tell)
            if metrics is not None:
                handling = metrics.timed(method, route, handling)
            response = await handling
            status = response.status
            return response
        finally:
            if metrics is not None:
                metrics.count_request(method, route, status)
            caller = passage.caller
            milliseconds = round((time.monotonic() - started) * 1000, 1)
            if inspection is not None:
                inspection.ended(request, response, caller, request_id, milliseconds)
            access_log(
                method=request.method,
                route=route,
                status=status,
                ms=milliseconds,
                request_id=request_id,
                client=caller.name if caller else "",
            )

    return middleware


def _place(request: web.Request, passage: Passage) -> tuple[str, str]:
    """Method and path as they are told: of the route, for a caller may write what he likes."""
    method = request.method if request.method in METHODS else "other"
    if passage.declared is None:
        return method, "unknown"
    return method, passage.dialect.prefix + passage.declared.path


def identity(_settings: Settings, app: web.Application) -> Headers:
    """Put the id on every answer, under the name it has in the dialect, and the span, if any."""

    def add(passage: Passage, response: web.StreamResponse) -> None:
        response.headers[passage.dialect.request_id_header] = passage.request_id
        if passage.span is not None:
            response.headers["traceresponse"] = passage.span

    return add
