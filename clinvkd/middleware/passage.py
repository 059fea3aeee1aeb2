"""What the gate knows of a request: one object, so that no rule looks up what another has found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from ..api import DIALECTS, dialect_of
from ..api.dialect import Dialect
from ..api.endpoint import Endpoint, Handler
from ..keys import Caller
from ..limits import Verdict


@dataclass(slots=True)
class Passage:
    """A request on its way in, and its answer on its way out.

    Attributes:
        request_id: tells it from others.
        declared: the route it leads to; None when there is none.
        dialect: what its errors are written in.
        caller: who sent it; None until `auth` let it in.
        allowed_origin: of the page that asks, where the configuration allows it.
        verdict: what the rate limit said; None when it was not counted.
        span: of its trace, as it is told to the caller.
    """

    request_id: str
    declared: Endpoint | None
    dialect: type[Dialect]
    caller: Caller | None = None
    allowed_origin: str | None = None
    verdict: Verdict | None = None
    span: str | None = None


PASSAGE = web.RequestKey("passage", Passage)


def _places() -> Mapping[Handler, tuple[Endpoint, type[Dialect]]]:
    """Every handler's route; one that stands at several paths is known by the first."""
    places: dict[Handler, tuple[Endpoint, type[Dialect]]] = {}
    for dialect in DIALECTS:
        for route in dialect.endpoints:
            places.setdefault(route.handler, (route, dialect))
    return places


_PLACES = _places()


def begin(request: web.Request, request_id: str) -> Passage:
    """Make the passage of a request, which was resolved to a route or to none."""
    place = _PLACES.get(request.match_info.handler) or (None, dialect_of(request.path))
    request[PASSAGE] = passage = Passage(request_id, *place)
    return passage
