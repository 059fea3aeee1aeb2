"""The APIs described: ``/openapi.json``, ``/openapi.yaml``, and for people ``/docs``.

All of it is the same for everybody and tells nothing of this machine, so it needs no key; what the
page asks for needs one as everything else does.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

from aiohttp import web
from pydantic_core import to_json

from ..errors import NotFound
from .endpoint import JSON, Returns, endpoint
from .pages import WEB, Page, file_returns

YAML = "application/yaml"
PAGE = Page(
    WEB / "reference",
    {
        "accessible.js": "text/javascript",
        "reference.css": "text/css",
        "reference.js": "text/javascript",
        "streaming.js": "text/javascript",
        "swagger-ui.css": "text/css",
        "swagger-ui-bundle.js": "text/javascript",
        "swagger-ui-bundle.js.LICENSE.txt": "text/plain",
        "swagger-ui.LICENSE.txt": "text/plain",
        "swagger-ui.NOTICE.txt": "text/plain",
    },
)


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
    returns=file_returns("The page.", "text/html"),
)
async def docs(request: web.Request) -> web.StreamResponse:
    """A page that loads nothing from elsewhere."""
    return PAGE.index()


@endpoint(
    "GET",
    "/docs/{asset}",
    public=True,
    summary="A file of the page.",
    operation="getDocsAsset",
    returns=file_returns("The file.", "text/css", "text/javascript", "text/plain"),
    raises=(NotFound,),
)
async def asset(request: web.Request) -> web.StreamResponse:
    """Style, script or licence."""
    return PAGE.asset(request.match_info["asset"])


ENDPOINTS = (openapi_json, openapi_yaml, docs, asset)


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
