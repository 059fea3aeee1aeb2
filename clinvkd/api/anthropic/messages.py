"""``POST /messages`` and ``POST /messages/count_tokens``."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web
from pydantic_core import to_json

from ...config import SessionSettings
from ...engine import AnyTurn, Engine
from ...errors import NotFound
from ...estimation import estimated_tokens
from ...intake import Approved
from ...models import Choice
from ...shaping import BYTES_PER_TOKEN
from ..dialect import IGNORED
from ..endpoint import CALLER, ENGINE, TURN_ERRORS, Returns, body_of, endpoint
from ..media import fetch_images
from ..stream import EVENT_STREAM, stream
from . import threads
from .answer_types import Message as MessageAnswer
from .answer_types import MessageEvent, TokenCount
from .content import decode, image_references, system_of
from .encoder import MessageEncoder
from .models import CountRequest, MessagesRequest
from .narration import Narration, Told
from .results import check_results
from .wire import NAMES

ESTIMATED = "X-Clinvk-Estimated"
"""Response header with the names of figures that are estimates."""


@endpoint(
    "POST",
    "/messages",
    body=MessagesRequest,
    summary="Create a message.",
    operation="createMessage",
    returns=(
        Returns(MessageAnswer, "The whole message."),
        Returns(
            MessageEvent, "With `stream`: one event after the other.", media_types=(EVENT_STREAM,)
        ),
    ),
    raises=TURN_ERRORS,
)
async def messages(request: web.Request) -> web.StreamResponse:
    """Answer a conversation, whole or streamed."""
    engine = request.app[ENGINE]
    body = body_of(request, MessagesRequest)
    choice = engine.models.resolve(body.model)
    await fetch_images(image_references(body.messages), engine.settings.media)
    before = await threads.before(engine, body, request[CALLER])
    asked = body.asked(choice, before.messages, before.system, before.tools)
    approved = await engine.approve(asked, request[CALLER])
    headers = _headers(approved, body, choice, engine.settings.session)
    prompt = approved.prompt
    narration = Narration(
        body.model,
        thinking=body.wants_thinking,
        input_tokens=estimated_tokens(prompt.system, prompt.messages),
    )
    async with engine.turn(prompt, dialect="anthropic") as turn:
        batches = _told(engine, body, narration, turn)
        if body.stream:
            encoder = MessageEncoder()
            return await stream(
                request, batches, encoder, server=engine.settings.server, headers=headers
            )
        async for _ in batches:
            pass  # the narration gathers the message
    return web.Response(
        body=to_json(narration.message), content_type="application/json", headers=headers
    )


@endpoint(
    "POST",
    "/messages/count_tokens",
    body=CountRequest,
    summary="Count a message's tokens.",
    operation="countMessageTokens",
    returns=(Returns(TokenCount),),
    raises=(NotFound,),
)
async def count_tokens(request: web.Request) -> web.StreamResponse:
    """An estimate: no agent tells a figure that is known to be true and certain to cost nothing."""
    body = body_of(request, CountRequest)
    request.app[ENGINE].models.resolve(body.model)
    tokens = estimated_tokens(system_of(body.system), decode(body.messages))
    check_results(body.messages)
    tokens += len(to_json(body.tools or "")) // BYTES_PER_TOKEN
    return web.Response(
        body=to_json({"input_tokens": tokens}),
        content_type="application/json",
        headers={ESTIMATED: "input_tokens"},
    )


async def _told(
    engine: Engine, body: MessagesRequest, narration: Narration, turn: AnyTurn
) -> AsyncIterator[list[Told]]:
    """What is told of a turn; a thread is kept before the caller can see its end."""
    async for events in turn:
        told = [part for event in events for part in narration.tell(event)]
        if turn.completed is not None:
            await threads.keep(engine, body, narration, turn)
        yield told


def _headers(
    approved: Approved, body: MessagesRequest, choice: Choice, settings: SessionSettings
) -> dict[str, str]:
    names = ["model"] if choice.guessed else []
    names += [NAMES.get(name, name) for name in approved.ignored]
    names += ["thread"] if body.thread is not None and not settings.store_content else []
    names += body.unknown()
    return {IGNORED: ", ".join(dict.fromkeys(names))} if names else {}
