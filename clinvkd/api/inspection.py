"""Notes every request that was answered, for the live feed and the request inspector."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from aiohttp import web

from ..engine import Engine
from ..inspector import (
    KEPT_BODY,
    LEFT,
    UNKNOWN,
    InspectedRequest,
    Inspector,
    without_credentials,
)
from ..keys import Caller
from .endpoint import ENGINE, checked_body

SENT = web.RequestKey("sent", bytes)
"""The body of the request as it was read, well formed or not."""

_INSPECTOR = "/api/v1/requests"  # what is sent there is not noted, or each look would add to it
_APIS = ("/api/", "/openai/", "/anthropic")  # pages, metrics and health are not noted either


class Inspection:
    """Knows the requests that are being answered, and notes those that were.

    Every request passes here, so next to nothing is done before somebody looks.

    Args:
        engine: has the live feed and the configuration in force.

    Attributes:
        inspector: what was noted.
    """

    def __init__(self, engine: Engine) -> None:
        self.inspector = Inspector()
        self._engine = engine
        self._live = engine.live
        self._routes: dict[web.AbstractResource | None, str | None] = {None: UNKNOWN}

    def began(self) -> None:
        """A request is being answered; `ended` must follow."""
        self._live.requests += 1

    def ended(
        self,
        request: web.Request,
        response: web.StreamResponse | None,
        caller: Caller | None,
        request_id: str,
        milliseconds: float,
    ) -> None:
        """It was answered, or with `response` None its caller left.

        Args:
            caller: who sent it; None when it was refused before that was known.
            request_id: as the log has it.
        """
        live = self._live
        live.requests -= 1
        settings = self._engine.settings
        most = settings.inspector.requests
        if not most and not live.watched:
            return
        resource = request.match_info.route.resource
        try:
            route = self._routes[resource]
        except KeyError:
            route = self._routes[resource] = _noted_as(resource)
        if route is None:
            return
        body = request.get(SENT) if request.body_exists else None
        may_be_kept = body and settings.session.store_content and _may_be_kept(request)
        noted = InspectedRequest(
            self.inspector.next_id(),
            request_id,
            time.time() - milliseconds / 1000,
            request.method,
            request.raw_path,
            route,
            LEFT if response is None else response.status,
            milliseconds,
            None if caller is None or caller.known_by == "nothing" else caller.name,
            without_credentials(request.headers),
            body[:KEPT_BODY] if body and may_be_kept else None,
            len(body) if body else 0,
            None if response is None else response.headers,
        )
        self.inspector.keep(noted, most)
        live.request(noted)


INSPECTION = web.AppKey("INSPECTION", Inspection)


async def inspecting(app: web.Application) -> AsyncIterator[None]:
    """Note requests for as long as the application runs; a `cleanup_ctx` of aiohttp, for after
    the engine's."""
    app[INSPECTION] = Inspection(app[ENGINE])
    yield


def _noted_as(resource: web.AbstractResource | None) -> str | None:
    """The name of a route in what is noted; None for one whose requests are not noted."""
    route = UNKNOWN if resource is None else resource.canonical
    noted = route == UNKNOWN or (route.startswith(_APIS) and not route.startswith(_INSPECTOR))
    return route if noted else None


def _may_be_kept(request: web.Request) -> bool:
    """Whether the caller did not ask that nothing be kept."""
    body = checked_body(request)
    ephemeral = getattr(body, "ephemeral", None) is True
    return not ephemeral and getattr(body, "store", None) is not False
