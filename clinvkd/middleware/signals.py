"""What puts headers on an answer: streams are prepared before the middleware sees them again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from aiohttp import web

from .passage import Passage

Headers: TypeAlias = Callable[[Passage, web.StreamResponse], None]
"""Called with every answer before its head is sent."""


def nothing(passage: Passage, response: web.StreamResponse) -> None:
    """Stands for the headers of what is not configured; it is never called."""
