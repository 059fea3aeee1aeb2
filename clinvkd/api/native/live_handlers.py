"""What happens right now, and the last requests. A key sees its own turns and requests, unless
its scopes say otherwise."""

from __future__ import annotations

from itertools import islice

from aiohttp import web

from ...errors import NotFound
from ...inspector import InspectedRequest, readable
from ..endpoint import CALLER, ENGINE, Returns, endpoint, query_of
from ..inspection import INSPECTION
from ..stream import EVENT_STREAM, stream
from .live_encoder import LiveEncoder, request_content
from .live_models import (
    LiveEventData,
    LiveQuery,
    RequestAnswer,
    RequestsAnswer,
    RequestsQuery,
)
from .performing import json_response


@endpoint(
    "GET",
    "/live",
    query=LiveQuery,
    summary="What happens right now, live.",
    operation="watchLive",
    returns=(Returns(LiveEventData, "What happens, named events.", media_types=(EVENT_STREAM,)),),
)
async def live(request: web.Request) -> web.StreamResponse:
    """Backends, agents, turns with their text, and requests, for as long as one watches.

    The stream begins with everything there is, so after a broken connection one just asks again.
    """
    query = query_of(request, LiveQuery)
    engine = request.app[ENGINE]
    with engine.live.watch(request[CALLER], once=query.once) as watcher:
        return await stream(
            request, watcher, LiveEncoder(), server=engine.settings.server, headers={}
        )


@endpoint(
    "GET",
    "/requests",
    query=RequestsQuery,
    summary="The last requests.",
    operation="listRequests",
    returns=(Returns(RequestsAnswer),),
)
async def requests(request: web.Request) -> web.StreamResponse:
    """The last requests to all APIs, the newest first, with their headers and bodies."""
    query = query_of(request, RequestsQuery)
    newest = request.app[INSPECTION].inspector.newest(request[CALLER])
    return json_response(RequestsAnswer(data=[_answer(one) for one in islice(newest, query.limit)]))


@endpoint(
    "GET",
    "/requests/{id}",
    summary="One of the last requests.",
    operation="getRequest",
    returns=(Returns(RequestAnswer),),
    raises=(NotFound,),
)
async def request_(request: web.Request) -> web.StreamResponse:
    """One request, as long as it is among the last ones."""
    found = request.app[INSPECTION].inspector.find(request.match_info["id"], request[CALLER])
    if found is None:
        raise NotFound("there is no such request among the last ones", param="id")
    return json_response(_answer(found))


ENDPOINTS = (live, requests, request_)


def _answer(request: InspectedRequest) -> RequestAnswer:
    return RequestAnswer(
        **request_content(request),
        request_headers=readable(request.request_headers),
        request_body=request.text,
        truncated=request.truncated,
        response_headers=readable(request.response_headers or {}),
    )
