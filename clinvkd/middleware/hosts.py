"""The Host header must name us: a web page that rebinds its own name to 127.0.0.1 does not."""

from __future__ import annotations

import re

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ..config import Settings
from ..errors import Forbidden

_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?")


def hosts(settings: Settings) -> Middleware:
    """Refuse a Host that is neither a loopback name, the configured address, nor allowed."""
    server = settings.server
    names = {name.lower() for name in (*_LOCAL, server.host, *server.allowed_hosts)}

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.getall("Host", [])
        match = _HOST.fullmatch(given[0]) if len(given) == 1 else None
        if match is None or not {match["name"].lower(), given[0].lower()} & names:
            raise Forbidden("the Host header does not name this server; see server.allowed_hosts")
        return await handler(request)

    return middleware
