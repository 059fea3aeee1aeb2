"""Only the methods that the APIs use; none that asks a server to repeat or to relay."""

from __future__ import annotations

from aiohttp import web

from ..config import Settings
from .checks import Check
from .passage import Passage

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def methods(_settings: Settings, _app: web.Application) -> Check:
    """Refuse the others on every route, unknown ones included."""

    def check(request: web.Request, _passage: Passage) -> None:
        if request.method not in METHODS:
            raise web.HTTPMethodNotAllowed(request.method, METHODS)

    return check
