"""The Host header must name us: a web page that rebinds its own name to 127.0.0.1 does not."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address

from aiohttp import hdrs, web

from ..config import Settings
from ..errors import Forbidden, InvalidRequest
from .checks import Check
from .passage import Passage

_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")


def hosts(settings: Settings, _app: web.Application) -> Check:
    """Refuse a Host that is neither a loopback name, the configured address, nor allowed.

    A port must be the one the request came to, except in what is allowed: an entry with a port
    allows that one, an entry without allows any.
    """
    server = settings.server
    ours = {*_LOCAL, *_own_names(server.host)}
    allowed = {name.lower() for name in server.allowed_hosts}

    @lru_cache(maxsize=64)
    def names_us(host: str, came_to: object) -> bool:
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match["name"].lower()
        if name in ours and match["port"] in (None, _port_of(came_to)):
            return True
        return name in allowed or host.lower() in allowed

    def check(request: web.Request, _passage: Passage) -> None:
        target = request.raw_path
        if target[:1] != "/" and target != "*":
            # Such a target names a host itself, and it would win over the header.
            raise InvalidRequest("the target of a request must be a path")
        given = request.headers.getall(hdrs.HOST, ())
        if len(given) != 1 or not names_us(given[0], request.protocol.sockname):
            raise Forbidden("the Host header does not name this server; see server.allowed_hosts")

    return check


def _own_names(host: str) -> tuple[str, ...]:
    """How a Host header names the address that is listened on."""
    try:
        address = ip_address(host)
    except ValueError:
        return (host.lower(),)
    if address.is_unspecified:  # a page may well ask for http://0.0.0.0
        return ()
    return (f"[{address}]" if address.version == 6 else str(address),)


def _port_of(name: object) -> str | None:
    """The port in the name of a socket; None of a unix socket."""
    return str(name[1]) if isinstance(name, tuple) else None
