"""Tells browsers to do with an answer nothing but to give it to who asked."""

from __future__ import annotations

from aiohttp import web
from multidict import CIMultiDict, istr

from ..config import Settings
from .passage import Passage
from .signals import Headers

# An `istr` is written in lower case once, not for every answer.
_ALWAYS = CIMultiDict(
    {
        istr("X-Content-Type-Options"): "nosniff",
        istr("Referrer-Policy"): "no-referrer",
        istr("Cross-Origin-Resource-Policy"): "same-origin",
    }
)
_CACHE, _POLICY = istr("Cache-Control"), istr("Content-Security-Policy")


def caution(_settings: Settings, _app: web.Application) -> Headers:
    """Headers of every answer; a page of ours has a content policy of its own."""

    def add(_passage: Passage, response: web.StreamResponse) -> None:
        headers = response.headers
        headers.update(_ALWAYS)
        headers.setdefault(_CACHE, "no-store")
        headers.setdefault(_POLICY, "default-src 'none'; frame-ancestors 'none'")

    return add
