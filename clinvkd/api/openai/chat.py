"""``POST /chat/completions``."""

from __future__ import annotations

from aiohttp import web
from pydantic_core import to_json

from ...engine import Engine
from ...events import Usage
from ...intake import Approved
from ..answers import merged, whole_all
from ..endpoint import CALLER, ENGINE, TURN_ERRORS, Returns, body_of, endpoint
from ..media import fetch_images
from ..stream import EVENT_STREAM, stream
from .answer_types import ChatChunk, ChatCompletion
from .chat_encoder import ChatEncoder, choice_of, completion
from .chat_models import ChatRequest
from .content import image_references
from .wire import ignored_header


@endpoint(
    "POST",
    "/chat/completions",
    body=ChatRequest,
    summary="Continue a chat.",
    operation="createChatCompletion",
    returns=(
        Returns(ChatCompletion, "The whole answer."),
        Returns(
            ChatChunk, "With `stream`: one chunk after the other.", media_types=(EVENT_STREAM,)
        ),
    ),
    raises=TURN_ERRORS,
)
async def chat_completions(request: web.Request) -> web.StreamResponse:
    """Answer a chat, whole or streamed, once or `n` times."""
    engine = request.app[ENGINE]
    body = body_of(request, ChatRequest)
    choice = engine.models.resolve(body.model)
    await fetch_images(image_references(body.messages), engine.settings.media)
    approved = await engine.approve(body.asked(choice), request[CALLER])
    headers = ignored_header(approved, body, guessed=choice.guessed, also=body.ignored())
    if body.stream:
        return await _streamed(request, engine, body, approved, headers)
    answers = await whole_all(engine, [approved.prompt] * (body.n or 1))
    choices = [
        choice_of(index, answer, reasoning=body.wants_reasoning, legacy=body.legacy)
        for index, answer in enumerate(answers)
    ]
    usage = sum((answer.completed.usage for answer in answers), Usage())
    return web.Response(
        body=to_json(completion(body.model, choices, usage)),
        content_type="application/json",
        headers=headers,
    )


async def _streamed(
    request: web.Request,
    engine: Engine,
    body: ChatRequest,
    approved: Approved,
    headers: dict[str, str],
) -> web.StreamResponse:
    count = body.n or 1
    encoder = ChatEncoder(
        body.model,
        reasoning=body.wants_reasoning,
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        choices=count,
        legacy=body.legacy,
    )
    async with merged(engine, [approved.prompt] * count) as batches:
        return await stream(
            request, batches, encoder, server=engine.settings.server, headers=headers
        )
