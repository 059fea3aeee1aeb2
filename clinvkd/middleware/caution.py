"""Tells browsers to do with an answer nothing but to give it to who asked."""

from __future__ import annotations

from aiohttp import web

from ..config import Settings
from .signals import Headers

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_UNLESS_SET = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def caution(_: Settings) -> Headers:
    """Headers of every answer; a page of ours has a content policy of its own."""

    def add(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        headers.update(_ALWAYS)
        for name, value in _UNLESS_SET.items():
            headers.setdefault(name, value)

    return add
