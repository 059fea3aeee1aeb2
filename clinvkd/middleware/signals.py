"""What puts headers on an answer: streams are prepared before the middleware sees them again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from aiohttp import web

Headers: TypeAlias = Callable[[web.Request, web.StreamResponse], None]
"""Called with every answer before its head is sent."""


def nothing(request: web.Request, response: web.StreamResponse) -> None:
    """Stands for the headers of what is not configured; it is never called."""
