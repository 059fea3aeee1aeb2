"""Once the daemon stops, no connection is kept: clients open the next one at its successor."""

from __future__ import annotations

import asyncio

from aiohttp import web

from ..config import Settings
from .passage import Passage
from .signals import Headers

STOPPING = web.AppKey("STOPPING", asyncio.Event)
"""Set when the daemon was told to stop."""


def closing(_settings: Settings, app: web.Application) -> Headers:
    """Tell a client that its connection ends with this answer, before it asks for more on it."""
    stopping = app[STOPPING]

    def add(_passage: Passage, response: web.StreamResponse) -> None:
        if stopping.is_set():
            response.force_close()
            response.headers["Connection"] = "close"

    return add
