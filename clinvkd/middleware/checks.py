"""What looks at a request before anything is done for it, and may refuse it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ..config import Settings
from .passage import PASSAGE, Passage

Check: TypeAlias = Callable[[web.Request, Passage], web.StreamResponse | None]
"""Raises to refuse a request; answers it at once; or lets it pass, with None. It never waits."""


def checked(
    *checks: Callable[[Settings, web.Application], Check],
) -> Callable[[Settings, web.Application], Middleware]:
    """One middleware of checks, in this order: a middleware for each would cost more than they."""

    def make(settings: Settings, app: web.Application) -> Middleware:
        made = tuple(check(settings, app) for check in checks)

        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            passage = request[PASSAGE]
            for check in made:
                if (answer := check(request, passage)) is not None:
                    return answer
            return await handler(request)

        return middleware

    return make
