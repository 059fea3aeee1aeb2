"""The APIs described: ``/openapi.json``, ``/openapi.yaml``, and for people ``/docs``.

All of it is the same for everybody and tells nothing of this machine, so it needs no key; what the
page asks for needs one as everything else does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic_core import to_json

from ..errors import NotFound
from .endpoint import JSON, Returns, endpoint

YAML = "application/yaml"
FILES = Path(__file__).parent.parent / "web" / "reference"
ASSETS: Mapping[str, str] = {
    "reference.css": "text/css",
    "reference.js": "text/javascript",
    "streaming.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui-bundle.js.LICENSE.txt": "text/plain",
    "swagger-ui.LICENSE.txt": "text/plain",
    "swagger-ui.NOTICE.txt": "text/plain",
}
"""Files of the page with their media types."""

PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # the icons in the style sheet of Swagger UI
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""What the page may load and do: nothing that does not come from here."""


@endpoint(
    "GET",
    "/openapi.json",
    public=True,
    summary="This description, as JSON.",
    operation="getOpenAPI",
    returns=(Returns(dict[str, Any], "An OpenAPI 3.1 document."),),
)
async def openapi_json(request: web.Request) -> web.StreamResponse:
    """The same for every caller."""
    return web.Response(body=await asyncio.to_thread(_json), content_type=JSON)


@endpoint(
    "GET",
    "/openapi.yaml",
    public=True,
    summary="This description, as YAML.",
    operation="getOpenAPIYAML",
    returns=(Returns(dict[str, Any], "An OpenAPI 3.1 document.", media_types=(YAML,)),),
)
async def openapi_yaml(request: web.Request) -> web.StreamResponse:
    """The same for every caller."""
    return web.Response(body=await asyncio.to_thread(_yaml), content_type=YAML)


@endpoint(
    "GET",
    "/docs",
    public=True,
    summary="This description, as a page to read and try.",
    operation="getDocs",
    returns=(Returns(str, "The page.", media_types=("text/html",)),),
)
async def docs(request: web.Request) -> web.StreamResponse:
    """A page that loads nothing from elsewhere."""
    return _file("index.html", "text/html")


@endpoint(
    "GET",
    "/docs/{asset}",
    public=True,
    summary="A file of the page.",
    operation="getDocsAsset",
    returns=(
        Returns(str, "The file.", media_types=("text/css", "text/javascript", "text/plain")),
        Returns(None, "The file is as the caller knows it.", 304),
    ),
    raises=(NotFound,),
)
async def asset(request: web.Request) -> web.StreamResponse:
    """Style, script or licence."""
    name = request.match_info["asset"]
    if name not in ASSETS:
        raise NotFound(f"there is no {name[:80]!r} here")
    return _file(name, ASSETS[name])


ENDPOINTS = (openapi_json, openapi_yaml, docs, asset)


def _file(name: str, media_type: str) -> web.FileResponse:
    headers = {
        "Content-Type": f"{media_type}; charset=utf-8",
        "Content-Security-Policy": PAGE_POLICY,
        "Cache-Control": "no-cache",  # asked for again, and answered with 304
    }
    return web.FileResponse(FILES / name, headers=headers)


@cache
def _document() -> dict[str, Any]:
    # Imported here: it describes the dialects, of which this is a part, and few ever ask for it.
    from . import DIALECTS
    from .openapi import document

    return document(DIALECTS)


@cache
def _json() -> bytes:
    return to_json(_document())


@cache
def _yaml() -> bytes:
    import yaml

    text: str = yaml.safe_dump(_document(), sort_keys=False, allow_unicode=True, width=100)
    return text.encode()
