"""A body must be declared as JSON: what a page can send without asking first is refused."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ..api.endpoint import endpoint_of
from ..config import Settings
from ..errors import PayloadTooLarge, UnsupportedMediaType


def media_type(settings: Settings) -> Middleware:
    """Check type, encoding and announced size of a body before a byte of it is read."""
    limit = settings.server.max_request_body_bytes

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        declared = endpoint_of(request)
        if declared is not None and declared.body is not None:
            charset = (request.charset or "utf-8").lower()
            if request.content_type != "application/json" or charset not in ("utf-8", "utf8"):
                raise UnsupportedMediaType("send the body as Content-Type: application/json")
            if "Content-Encoding" in request.headers:
                raise UnsupportedMediaType("compressed bodies are not accepted")
            if limit and (request.content_length or 0) > limit:
                raise PayloadTooLarge(f"the body is larger than {limit} bytes")
        return await handler(request)

    return middleware
