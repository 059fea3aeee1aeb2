"""What was used, over HTTP. A key sees what it used itself, unless its scopes say otherwise."""

from __future__ import annotations

from datetime import timedelta

from aiohttp import web

from ...errors import InvalidRequest, StoreUnavailable
from ...usage import today
from ..endpoint import CALLER, ENGINE, Returns, endpoint, query_of
from .performing import json_response
from .usage_models import UsageAnswer, UsageQuery, usage_answer

_DAYS = 30


@endpoint(
    "GET",
    "/usage",
    query=UsageQuery,
    summary="Requests, tokens and cost.",
    operation="getUsage",
    returns=(Returns(UsageAnswer),),
    raises=(StoreUnavailable,),
)
async def usage(request: web.Request) -> web.StreamResponse:
    """What was used from one day to another, by backend, model, key or day."""
    query = query_of(request, UsageQuery)
    last = query.to or today()
    first = query.from_ or last - timedelta(days=_DAYS - 1)
    if first > last:
        raise InvalidRequest(f"from: is {first}, after to, {last}", param="from")
    key = request[CALLER].sees
    sums = await request.app[ENGINE].ledger.sums(first, last, query.groups, key)
    return json_response(usage_answer(first, last, query.groups, sums))


ENDPOINTS = (usage,)
