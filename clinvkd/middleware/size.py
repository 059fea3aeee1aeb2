"""A body that says it is too large is refused before a byte of it is read."""

from __future__ import annotations

from aiohttp import web

from ..config import Settings
from ..errors import PayloadTooLarge
from .checks import Check
from .passage import Passage


def size(settings: Settings, _app: web.Application) -> Check:
    """Check the announced size; aiohttp itself stops reading one that is not announced."""
    limit = settings.server.max_request_body_bytes

    def check(request: web.Request, _passage: Passage) -> None:
        if limit and (request.content_length or 0) > limit:
            raise PayloadTooLarge(f"the body is larger than {limit} bytes")

    return check
