"""A body must be declared as JSON: what a page can send without asking first is refused."""

from __future__ import annotations

from aiohttp import web

from ..config import Settings
from ..errors import UnsupportedMediaType
from .checks import Check
from .passage import Passage


def media_type(_settings: Settings, _app: web.Application) -> Check:
    """Check type and encoding of a body before a byte of it is read, wanted there or not."""

    def check(request: web.Request, passage: Passage) -> None:
        declared = passage.declared
        if request.body_exists or (declared is not None and declared.body is not None):
            charset = (request.charset or "utf-8").lower()
            if request.content_type != "application/json" or charset not in ("utf-8", "utf8"):
                raise UnsupportedMediaType("send the body as Content-Type: application/json")
            if "Content-Encoding" in request.headers:
                raise UnsupportedMediaType("compressed bodies are not accepted")

    return check
