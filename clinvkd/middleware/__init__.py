"""What every request passes, in this order: cheap refusals first, the body last."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from ..config import Settings
from .auth import auth
from .body import body
from .caution import caution
from .checks import checked
from .closing import closing
from .cors import cors, cors_headers
from .errors import errors
from .hosts import hosts
from .idempotency import idempotency
from .media_type import media_type
from .methods import methods
from .observe import identity, observe
from .origin import origin
from .passage import PASSAGE
from .rate_limit import rate_headers, rate_limit
from .signals import Headers, nothing
from .size import size

MIDDLEWARES: tuple[Callable[[Settings, web.Application], Middleware], ...] = (
    observe,
    errors,
    checked(
        hosts,
        origin,
        cors,
        methods,
        media_type,
        size,
        auth,
    ),
    rate_limit,
    body,
    idempotency,
)
"""Checks of a request; each may refuse it."""

HEADERS: tuple[Callable[[Settings, web.Application], Headers], ...] = (
    identity,
    caution,
    cors_headers,
    rate_headers,
    closing,
)
"""Headers of every answer, streams and errors included."""


def answer_headers(
    settings: Settings, app: web.Application
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Puts all of `HEADERS` on an answer; a signal for `on_response_prepare`."""
    added = [add for make in HEADERS if (add := make(settings, app)) is not nothing]

    async def signal(request: web.Request, response: web.StreamResponse) -> None:
        for add in added:
            add(request[PASSAGE], response)

    return signal
