"""Every failure becomes an error body of the dialect that was called."""

from __future__ import annotations

import asyncio

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic_core import to_json

from ..config import Settings
from ..errors import (
    ClinvkError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    Unauthorized,
)
from .passage import PASSAGE

_log = structlog.get_logger(__name__)


def errors(_settings: Settings, _app: web.Application) -> Middleware:
    """Answer failures; one that is no `ClinvkError` is our defect and logged with its trace."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        headers = {}
        try:
            return await handler(request)
        except ClinvkError as caught:
            error = caught
        except web.HTTPMethodNotAllowed as caught:
            allowed = ", ".join(sorted(caught.allowed_methods))
            headers["Allow"] = allowed
            error = MethodNotAllowed(f"{request.method} is not allowed here, only {allowed}")
        except web.HTTPRequestEntityTooLarge:
            error = PayloadTooLarge("the body is larger than server.max_request_body_bytes")
        except web.HTTPNotFound:
            error = NotFound(f"there is no {request.path!r} here")
        except ConnectionError:
            # The caller left while we answered: there is nobody to tell.
            raise asyncio.CancelledError from None
        except Exception:  # noqa: BLE001 - the last line of defence
            _log.exception("request failed")
            request_id = request[PASSAGE].request_id
            error = InternalError(f"an internal error occurred; the log has it under {request_id}")
        if error.retry_after is not None:
            headers["Retry-After"] = str(error.retry_after)
        if error.may_retry is not None:
            # The official SDKs obey it, whatever the status.
            headers["x-should-retry"] = str(error.may_retry).lower()
        if isinstance(error, Unauthorized):
            headers["WWW-Authenticate"] = "Bearer"
        passage = request[PASSAGE]
        dialect = passage.dialect
        return web.Response(
            status=dialect.status_of(error),
            body=to_json(dialect.render_error(error, passage.request_id)),
            content_type="application/json",
            headers=headers,
        )

    return middleware
