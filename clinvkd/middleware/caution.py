"""Tells browsers to do with an answer nothing but to give it to who asked."""

from __future__ import annotations

from aiohttp import web
from multidict import CIMultiDict, istr

from ..config import Settings
from .signals import Headers

# An `istr` is written in lower case once, not for every answer.
_ALWAYS = CIMultiDict(
    {
        istr("X-Content-Type-Options"): "nosniff",
        istr("Referrer-Policy"): "no-referrer",
        istr("Cross-Origin-Resource-Policy"): "same-origin",
    }
)
_UNLESS_SET = {
    istr("Cache-Control"): "no-store",
    istr("Content-Security-Policy"): "default-src 'none'; frame-ancestors 'none'",
}


def caution(_settings: Settings, _app: web.Application) -> Headers:
    """Headers of every answer; a page of ours has a content policy of its own."""

    def add(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        headers.update(_ALWAYS)
        for name, value in _UNLESS_SET.items():
            headers.setdefault(name, value)

    return add
