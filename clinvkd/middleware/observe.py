"""A request id, and one line in the log, one count and one span for every request."""

from __future__ import annotations

import random
import re
import time
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from multidict import istr

from ..access_log import REQUEST, AccessLog
from ..api import dialect_of
from ..api.endpoint import CALLER, ENGINE, Endpoint, find_endpoint
from ..api.inspection import INSPECTION
from ..api.metrics import METRICS
from ..config import Settings
from .methods import METHODS
from .signals import Headers

ACCESS_LOG: web.AppKey[AccessLog] = web.AppKey("ACCESS_LOG")
"""Is told of every request."""

REQUEST_ID = web.RequestKey("request_id", str)
_SPAN = web.RequestKey("span", str)
_HEADER = istr("X-Request-Id")
_VALID = re.compile(r"[\w.:-]{1,128}", re.ASCII)


def observe(_settings: Settings, app: web.Application) -> Middleware:
    """Give the request an id (the caller's own, if it is well formed), log, count and trace it."""
    metrics, access_log = app.get(METRICS), app[ACCESS_LOG]

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = request.headers.get(_HEADER, "")
        # It tells requests apart and guards nothing, so it may be guessed.
        request_id = asked if _VALID.fullmatch(asked) else f"{random.getrandbits(64):016x}"
        request[REQUEST_ID] = request_id
        # aiohttp runs each request in a context of its own: nothing of another one is there.
        REQUEST.set({"request_id": request_id})
        declared = find_endpoint(request)
        started = time.monotonic()
        status = 499  # the caller left
        response: web.StreamResponse | None = None
        if (inspection := app.get(INSPECTION)) is not None:
            inspection.began()
        try:
            handling = handler(request)
            if (tracing := app[ENGINE].tracing) is not None:
                tell = partial(request.__setitem__, _SPAN)
                place = _place(request, declared)
                handling = tracing.request(*place, request.headers, handling, tell)
            if metrics is not None:
                handling = metrics.timed(*_place(request, declared), handling)
            response = await handling
            status = response.status
            return response
        finally:
            if metrics is not None:
                metrics.count_request(*_place(request, declared), status)
            caller = request.get(CALLER)
            milliseconds = round((time.monotonic() - started) * 1000, 1)
            if inspection is not None:
                inspection.ended(request, response, request_id, milliseconds)
            access_log(
                method=request.method,
                route=declared.path if declared else "unknown",
                status=status,
                ms=milliseconds,
                request_id=request_id,
                client=caller.name if caller else "",
            )

    return middleware


def _place(request: web.Request, declared: Endpoint | None) -> tuple[str, str]:
    """Method and path as they are counted: of the route, for a caller may write what he likes."""
    method = request.method if request.method in METHODS else "other"
    if declared is None:
        return method, "unknown"
    return method, dialect_of(request.path).prefix + declared.path


def identity(_settings: Settings, app: web.Application) -> Headers:
    """Put the id on every answer, under the name it has in the dialect, and the span, if any."""

    def add(request: web.Request, response: web.StreamResponse) -> None:
        if (given := request.get(REQUEST_ID)) is None:
            return  # it did not come in through `observe`
        response.headers[dialect_of(request.path).request_id_header] = given
        if app[ENGINE].tracing is not None and _SPAN in request:
            response.headers["traceresponse"] = request[_SPAN]

    return add
