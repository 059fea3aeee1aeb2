"""The Responses API: ``/responses`` and what is stored of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from pydantic_core import to_json

from ....engine import AnyTurn, Engine
from ....errors import InvalidRequest
from ...dialect import CLIENT, any_substance
from ...endpoint import ENGINE, body_of, endpoint
from ...media import fetch_images
from ...stream import stream
from ..wire import RESPONSE_NAMES, ignored_header, new_id
from .building import Building, ResponseEncoder
from .items import image_references
from .keeping import BackgroundResponses, before, found, object_of, record_of
from .models import ResponseRequest

BACKGROUND = web.AppKey("BACKGROUND", BackgroundResponses)


@endpoint("POST", "/responses", body=ResponseRequest, summary="Create a response.")
async def create(request: web.Request) -> web.StreamResponse:
    """Answer an input: whole, streamed, or in the background."""
    engine = request.app[ENGINE]
    body = body_of(request, ResponseRequest)
    choice = engine.models.resolve(body.model)
    await fetch_images(image_references(body.input), engine.settings.media)
    approved = await engine.approve(body.asked(choice, await before(engine, body)))
    headers = ignored_header(
        approved, body, guessed=choice.guessed, also=body.ignored(), dialect=RESPONSE_NAMES
    )
    if body.stored:
        await engine.store.ready()  # nothing is asked for what could not be kept
    building = Building(body, new_id("resp_"))
    if body.background:
        if body.stream:
            raise InvalidRequest("a background response cannot be streamed", param="stream")
        await engine.store.responses.put(record_of(body, building, approved.prompt))
        answer = _json(building.object, headers)
        request.app[BACKGROUND].start(engine, approved.prompt, building)
        return answer
    async with engine.turn(approved.prompt) as turn:
        batches = _growing(engine, body, building, turn)
        if body.stream:
            encoder = ResponseEncoder(building)
            return await stream(
                request, batches, encoder, server=engine.settings.server, headers=headers
            )
        async for _ in batches:
            pass
        return _json(building.object, headers)


async def _growing(
    engine: Engine, body: ResponseRequest, building: Building, turn: AnyTurn
) -> AsyncIterator[tuple[bool, bytes]]:
    """What the turn makes of the response; it is stored before the caller can see its end."""
    told = building.begin()
    async for events in turn:
        told += building.grow(events)
        if turn.completed is not None and body.stored:
            history = (*turn.prompt.messages, turn.reply)
            record = record_of(body, building, turn.prompt, history)
            await engine.store.responses.put(record)
        yield any_substance(events), told
        told = b""


@endpoint("GET", "/responses/{response}", summary="Look up a stored response.")
async def retrieve(request: web.Request) -> web.StreamResponse:
    """The response object, as far as it has come."""
    if request.query.get("stream") == "true":
        raise InvalidRequest("a stored response cannot be streamed", param="stream")
    return _json(object_of(await found(request.app[ENGINE], request.match_info["response"])))


@endpoint("DELETE", "/responses/{response}", summary="Delete a stored response.")
async def delete(request: web.Request) -> web.StreamResponse:
    """Forget a response; one that runs in the background is stopped first."""
    engine = request.app[ENGINE]
    stored = await found(engine, request.match_info["response"])
    await request.app[BACKGROUND].cancel(stored.id)
    await engine.store.responses.delete(stored.id, CLIENT)
    return _json({"id": stored.id, "object": "response", "deleted": True})


@endpoint("GET", "/responses/{response}/input_items", summary="List a response's input.")
async def input_items(request: web.Request) -> web.StreamResponse:
    """A page of the input: newest first unless ``order=asc``; ``limit`` and ``after``."""
    stored = await found(request.app[ENGINE], request.match_info["response"])
    items = stored.input_items
    if request.query.get("order", "desc") != "asc":
        items = items[::-1]
    if after := request.query.get("after"):
        ids = [item["id"] for item in items]
        items = items[ids.index(after) + 1 :] if after in ids else []
    limit = _limit(request)
    page = items[:limit]
    return _json(
        {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(items) > limit,
        }
    )


@endpoint("POST", "/responses/{response}/cancel", summary="Cancel a background response.")
async def cancel(request: web.Request) -> web.StreamResponse:
    """Stop a response that runs in the background; one that has ended stays as it is."""
    engine = request.app[ENGINE]
    stored = await found(engine, request.match_info["response"])
    if not (stored.output or {}).get("background"):
        raise InvalidRequest("only a background response can be cancelled", param="response_id")
    await request.app[BACKGROUND].cancel(stored.id)
    return _json(object_of(await found(engine, stored.id)))


async def background(app: web.Application) -> AsyncIterator[None]:
    """The life of responses that run in the background; a `cleanup_ctx`."""
    app[BACKGROUND] = BackgroundResponses()
    yield
    await app[BACKGROUND].aclose()


ENDPOINTS = (create, retrieve, delete, input_items, cancel)


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", "20")
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise InvalidRequest("limit must be an integer from 1 to 100", param="limit")
    return int(text)


def _json(body: dict[str, Any], headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=to_json(body), content_type="application/json", headers=headers)
