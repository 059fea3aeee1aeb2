"""Lets pages of the configured origins ask, and read what is answered."""

from __future__ import annotations

import re

from aiohttp import hdrs, web

from ..config import Settings
from .checks import Check
from .passage import Passage
from .signals import Headers, nothing

_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_HEADERS = re.compile(
    r"accept|authorization|x-api-key|content-type|idempotency-key|last-event-id|openai-beta"
    r"|x-request-id|anthropic-(version|beta|dangerous-direct-browser-access)"
    r"|x-stainless-[a-z0-9-]{1,40}"
)
_EXPOSED = (
    "X-Request-Id, request-id, Retry-After, X-Clinvk-Ignored, X-RateLimit-Limit,"
    " X-RateLimit-Remaining, X-RateLimit-Reset, anthropic-ratelimit-requests-limit,"
    " anthropic-ratelimit-requests-remaining, anthropic-ratelimit-requests-reset"
)


def cors(settings: Settings, _app: web.Application) -> Check:
    """Answer preflights, which never carry a key; refused origins do not come here."""
    max_age = str(settings.server.cors_max_age)

    def check(request: web.Request, passage: Passage) -> web.StreamResponse | None:
        if request.method != "OPTIONS":
            return None
        if "Access-Control-Request-Method" not in request.headers or (
            passage.allowed_origin is None
        ):
            return None
        headers = {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": ", ".join(_asked_headers(request)),
            "Access-Control-Max-Age": max_age,
        }
        if request.headers.get("Access-Control-Request-Private-Network") == "true":
            headers["Access-Control-Allow-Private-Network"] = "true"
        return web.Response(status=204, headers=headers)

    return check


def cors_headers(settings: Settings, _app: web.Application) -> Headers:
    """Let the page read the answer: also a stream, also an error."""
    if not settings.server.cors_allowed_origins:
        return nothing
    credentials = settings.server.cors_allow_credentials

    def add(passage: Passage, response: web.StreamResponse) -> None:
        response.headers.add(hdrs.VARY, "Origin")
        if passage.allowed_origin is None:
            return
        response.headers["Access-Control-Allow-Origin"] = passage.allowed_origin
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        if credentials:
            response.headers["Access-Control-Allow-Credentials"] = "true"

    return add


def _asked_headers(request: web.Request) -> list[str]:
    """Those a page wants to send and may; a browser stops it if one is missing."""
    asked = ",".join(request.headers.getall("Access-Control-Request-Headers", [])).lower()
    return [name for word in asked.split(",") if _HEADERS.fullmatch(name := word.strip())]
