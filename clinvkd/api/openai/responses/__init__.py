"""The Responses API: ``/responses`` and what is stored of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from ....attribute_docs import described
from ....engine import AnyTurn, Engine
from ....errors import InvalidRequest, NotFound, StoreUnavailable
from ....store import StoredResponse
from ...dialect import any_substance
from ...endpoint import CALLER, ENGINE, TURN_ERRORS, Returns, body_of, endpoint, query_of
from ...media import fetch_images
from ...stream import EVENT_STREAM, stream
from ..answer_types import DeletedResponse, ItemList, Response, ResponseEvent
from ..wire import RESPONSE_NAMES, ignored_header, new_id
from .building import Building, ResponseEncoder
from .items import image_references
from .keeping import BackgroundResponses, before, found, object_of, record_of
from .models import ResponseRequest
from .references import resolve

BACKGROUND = web.AppKey("BACKGROUND", BackgroundResponses)


_ERRORS = (NotFound, StoreUnavailable)


class RetrieveQuery(BaseModel):
    """How a stored response is wanted."""

    model_config = ConfigDict(defer_build=True, json_schema_extra=described)

    stream: bool = False
    """Not supported."""


class ItemsQuery(BaseModel):
    """Which items of an input are wanted."""

    model_config = ConfigDict(defer_build=True, json_schema_extra=described)

    order: Literal["asc", "desc"] = "desc"
    """Oldest or newest first."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    """Most items."""

    after: str | None = None
    """Id of the item before the first one wanted."""


@endpoint(
    "POST",
    "/responses",
    body=ResponseRequest,
    summary="Create a response.",
    operation="createResponse",
    returns=(
        Returns(Response, "The whole response, or with `background` one that is still to come."),
        Returns(
            ResponseEvent, "With `stream`: one event after the other.", media_types=(EVENT_STREAM,)
        ),
    ),
    raises=TURN_ERRORS,
)
async def create(request: web.Request) -> web.StreamResponse:
    """Answer an input: whole, streamed, or in the background."""
    engine = request.app[ENGINE]
    body = body_of(request, ResponseRequest)
    choice = engine.models.resolve(body.model)
    await fetch_images(image_references(body.input), engine.settings.media)
    caller = request[CALLER]
    await resolve(engine, body, caller)
    asked = body.asked(choice, await before(engine, body, caller))
    approved = await engine.approve(asked, caller)
    kept = body.stored and engine.settings.session.store_content
    ignored = [*body.ignored(), *(["store"] if body.stored and not kept else [])]
    headers = ignored_header(
        approved, body, guessed=choice.guessed, also=ignored, dialect=RESPONSE_NAMES
    )
    if kept:
        await engine.store.ready()  # nothing is asked for what could not be kept
    building = Building(body, new_id("resp_"), stored=kept)
    if body.background:
        if not kept:
            raise InvalidRequest(
                "a background response has to be stored, and session.store_content is off",
                param="background",
            )
        if body.stream:
            raise InvalidRequest("a background response cannot be streamed", param="stream")
        await engine.store.responses.put(record_of(body, building, approved.prompt))
        answer = _json(building.object, headers)
        request.app[BACKGROUND].start(engine, approved.prompt, building)
        return answer
    async with engine.turn(approved.prompt, dialect="openai") as turn:
        batches = _growing(engine, body, building, turn, kept)
        if body.stream:
            encoder = ResponseEncoder(building)
            return await stream(
                request, batches, encoder, server=engine.settings.server, headers=headers
            )
        async for _ in batches:
            pass
        return _json(building.object, headers)


async def _growing(
    engine: Engine, body: ResponseRequest, building: Building, turn: AnyTurn, kept: bool
) -> AsyncIterator[tuple[bool, bytes]]:
    """What the turn makes of the response; if it is kept, before the caller can see its end."""
    told = building.begin()
    async for events in turn:
        told += building.grow(events)
        if turn.completed is not None and kept:
            history = (*turn.prompt.messages, turn.reply)
            record = record_of(body, building, turn.prompt, history)
            await engine.store.responses.put(record)
        yield any_substance(events), told
        told = b""


@endpoint(
    "GET",
    "/responses/{response}",
    query=RetrieveQuery,
    summary="Look up a stored response.",
    operation="getResponse",
    returns=(Returns(Response),),
    raises=_ERRORS,
)
async def retrieve(request: web.Request) -> web.StreamResponse:
    """The response object, as far as it has come."""
    if query_of(request, RetrieveQuery).stream:
        raise InvalidRequest("a stored response cannot be streamed", param="stream")
    return _json(object_of(await _found(request)))


@endpoint(
    "DELETE",
    "/responses/{response}",
    summary="Delete a stored response.",
    operation="deleteResponse",
    returns=(Returns(DeletedResponse),),
    raises=_ERRORS,
)
async def delete(request: web.Request) -> web.StreamResponse:
    """Forget a response; one that runs in the background is stopped first."""
    engine = request.app[ENGINE]
    stored = await _found(request)
    await request.app[BACKGROUND].cancel(stored.id)
    await engine.store.responses.delete(stored.id, stored.client)
    return _json({"id": stored.id, "object": "response", "deleted": True})


@endpoint(
    "GET",
    "/responses/{response}/input_items",
    query=ItemsQuery,
    summary="List a response's input.",
    operation="listInputItems",
    returns=(Returns(ItemList),),
    raises=_ERRORS,
)
async def input_items(request: web.Request) -> web.StreamResponse:
    """A page of the input: newest first unless ``order=asc``; ``limit`` and ``after``."""
    query = query_of(request, ItemsQuery)
    stored = await _found(request)
    items = stored.input_items
    if query.order == "desc":
        items = items[::-1]
    if query.after:
        ids = [item["id"] for item in items]
        items = items[ids.index(query.after) + 1 :] if query.after in ids else []
    page = items[: query.limit]
    return _json(
        {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(items) > query.limit,
        }
    )


@endpoint(
    "POST",
    "/responses/{response}/cancel",
    summary="Cancel a background response.",
    operation="cancelResponse",
    returns=(Returns(Response),),
    raises=_ERRORS,
)
async def cancel(request: web.Request) -> web.StreamResponse:
    """Stop a response that runs in the background; one that has ended stays as it is."""
    stored = await _found(request)
    if not (stored.output or {}).get("background"):
        raise InvalidRequest("only a background response can be cancelled", param="response_id")
    await request.app[BACKGROUND].cancel(stored.id)
    return _json(object_of(await _found(request)))


async def background(app: web.Application) -> AsyncIterator[None]:
    """The life of responses that run in the background; a `cleanup_ctx`."""
    app[BACKGROUND] = BackgroundResponses()
    yield
    await app[BACKGROUND].aclose()


ENDPOINTS = (create, retrieve, delete, input_items, cancel)


async def _found(request: web.Request) -> StoredResponse:
    """The stored response that the path names."""
    return await found(request.app[ENGINE], request.match_info["response"], request[CALLER])


def _json(body: dict[str, Any], headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=to_json(body), content_type="application/json", headers=headers)
