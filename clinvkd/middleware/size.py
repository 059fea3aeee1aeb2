"""A body that says it is too large is refused before a byte of it is read."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ..config import Settings
from ..errors import PayloadTooLarge


def size(settings: Settings) -> Middleware:
    """Check the announced size; aiohttp itself stops reading one that is not announced."""
    limit = settings.server.max_request_body_bytes

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if limit and (request.content_length or 0) > limit:
            raise PayloadTooLarge(f"the body is larger than {limit} bytes")
        return await handler(request)

    return middleware
