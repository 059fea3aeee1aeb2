"""The Host header must name us: a web page that rebinds its own name to 127.0.0.1 does not."""

from __future__ import annotations

import re
from ipaddress import ip_address

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ..config import Settings
from ..errors import Forbidden, InvalidRequest

_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")


def hosts(settings: Settings) -> Middleware:
    """Refuse a Host that is neither a loopback name, the configured address, nor allowed.

    A port must be the one the request came to, except in what is allowed: an entry with a port
    allows that one, an entry without allows any.
    """
    server = settings.server
    ours = {*_LOCAL, *_own_names(server.host)}
    allowed = {name.lower() for name in server.allowed_hosts}

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.raw_path[:1] != "/" and request.raw_path != "*":
            # Such a target names a host itself, and it would win over the header.
            raise InvalidRequest("the target of a request must be a path")
        given = request.headers.getall("Host", [])
        match = _HOST.fullmatch(given[0]) if len(given) == 1 else None
        if match is not None:
            name, port = match["name"].lower(), match["port"]
            if name in ours and (port is None or port == _port_of(request)):
                return await handler(request)
            if name in allowed or given[0].lower() in allowed:
                return await handler(request)
        raise Forbidden("the Host header does not name this server; see server.allowed_hosts")

    return middleware


def _own_names(host: str) -> tuple[str, ...]:
    """How a Host header names the address that is listened on."""
    try:
        address = ip_address(host)
    except ValueError:
        return (host.lower(),)
    if address.is_unspecified:  # a page may well ask for http://0.0.0.0
        return ()
    return (f"[{address}]" if address.version == 6 else str(address),)


def _port_of(request: web.Request) -> str | None:
    """The port a request came to; None on a unix socket."""
    name = request.get_extra_info("sockname")
    return str(name[1]) if isinstance(name, tuple) else None
