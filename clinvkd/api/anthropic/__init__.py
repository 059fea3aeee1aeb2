"""The Anthropic dialect, under ``/anthropic``.

The official SDKs add ``/v1/...`` to their base URL, and published examples end the base URL in
``/v1`` already, so every route is served under both ``/v1`` and ``/v1/v1``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from aiohttp import web

from ...errors import ClinvkError
from ..dialect import Dialect
from ..endpoint import Endpoint, Returns, endpoint
from .answer_types import ErrorBody
from .messages import count_tokens, messages
from .model_list import model, models
from .wire import error_object, status_of


@endpoint(
    "HEAD",
    "",
    summary="Whether there is somebody.",
    operation="headAnthropic",
    returns=(Returns(None, "There is."),),
)
async def head(request: web.Request) -> web.StreamResponse:
    """An empty answer."""
    return web.Response()


_ROUTES = (messages, count_tokens, models, model)
_ROOTS = ("", "/", "/v1", "/v1/", "/v1/v1")


class AnthropicDialect(Dialect):
    """Routes and errors of the Anthropic dialect."""

    prefix = "/anthropic"
    title = "Anthropic API"
    error_body = ErrorBody
    endpoints: ClassVar[tuple[Endpoint, ...]] = (
        *(
            replace(route, path=base + route.path)
            for base in ("/v1", "/v1/v1")
            for route in _ROUTES
        ),
        *(replace(head, path=root) for root in _ROOTS),
    )
    request_id_header = "request-id"

    @classmethod
    def render_error(cls, error: ClinvkError, request_id: str) -> dict[str, Any]:
        """``{"type": "error", "error": {...}, "request_id": ...}``."""
        return {"type": "error", "error": error_object(error), "request_id": request_id}

    @classmethod
    def status_of(cls, error: ClinvkError) -> int:
        """As the Messages API: what is busy is 529."""
        return status_of(error)
