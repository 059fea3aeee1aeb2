"""The OpenAI dialect, under ``/openai/v1``."""

from __future__ import annotations

from typing import Any, ClassVar

from aiohttp import web

from ...errors import ClinvkError
from ..dialect import Dialect
from ..endpoint import Endpoint, Returns, endpoint
from .answer_types import ErrorBody
from .chat import chat_completions
from .completions import completions
from .model_list import model, models
from .responses import ENDPOINTS as RESPONSES
from .responses import background
from .wire import error_body, status_of


@endpoint(
    "HEAD",
    "",
    summary="Whether there is somebody.",
    operation="headOpenAI",
    returns=(Returns(None, "There is."),),
)
async def head(request: web.Request) -> web.StreamResponse:
    """An empty answer."""
    return web.Response()


@endpoint(
    "OPTIONS",
    "",
    summary="What the prefix allows.",
    operation="optionsOpenAI",
    returns=(Returns(None, "Header `Allow` holds the methods.", 204),),
)
async def options(request: web.Request) -> web.StreamResponse:
    """The methods of the dialect."""
    return web.Response(status=204, headers={"Allow": "GET, HEAD, OPTIONS, POST, DELETE"})


class OpenAIDialect(Dialect):
    """Routes and errors of the OpenAI dialect."""

    prefix = "/openai/v1"
    title = "OpenAI API"
    error_body = ErrorBody
    endpoints: ClassVar[tuple[Endpoint, ...]] = (
        models,
        model,
        chat_completions,
        completions,
        *RESPONSES,
        head,
        options,
    )

    lifetimes = (background,)

    @classmethod
    def render_error(cls, error: ClinvkError, request_id: str) -> dict[str, Any]:
        """``{"error": {"message", "type", "param", "code"}}``."""
        return {"error": error_body(error)}

    @classmethod
    def status_of(cls, error: ClinvkError) -> int:
        """The error's own, except where OpenAI has another."""
        return status_of(error)
