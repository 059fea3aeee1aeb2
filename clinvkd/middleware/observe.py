"""A request id, and one line in the log for every request."""

from __future__ import annotations

import re
import secrets
import time

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ..api import dialect_of
from ..api.endpoint import endpoint_of
from ..config import Settings

REQUEST_ID = web.RequestKey("request_id", str)
_HEADER = "X-Request-Id"
_VALID = re.compile(r"[\w.:-]{1,128}", re.ASCII)

_log = structlog.get_logger("clinvkd.access")


def observe(_: Settings) -> Middleware:
    """Give the request an id (the caller's own, if it is well formed) and log how it ended."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = request.headers.get(_HEADER, "")
        request_id = asked if _VALID.fullmatch(asked) else secrets.token_hex(8)
        request[REQUEST_ID] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started = time.monotonic()
        status = 499  # the caller left
        try:
            response = await handler(request)
            status = response.status
            return response
        finally:
            declared = endpoint_of(request)
            _log.info(
                "request",
                method=request.method,
                route=declared.path if declared else "unknown",
                status=status,
                ms=round((time.monotonic() - started) * 1000, 1),
            )

    return middleware


async def add_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """Put the id on every response, streams included; an `on_response_prepare` signal."""
    if REQUEST_ID in request:
        response.headers[dialect_of(request.path).request_id_header] = request[REQUEST_ID]
