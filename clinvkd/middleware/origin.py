"""No web page of another origin may ask: a browser says where a request comes from."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ..config import Settings
from ..errors import Forbidden


def origin(_: Settings) -> Middleware:
    """Refuse requests that a browser sends for a page that is not ours."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Origin")
        own = f"{request.scheme}://{request.headers.get('Host', '')}"
        site = request.headers.get("Sec-Fetch-Site", "none")
        if given not in (None, own) or (given is None and site not in ("none", "same-origin")):
            raise Forbidden("requests from web pages of another origin are not allowed")
        return await handler(request)

    return middleware
