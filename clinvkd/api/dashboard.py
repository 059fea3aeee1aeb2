"""The dashboard: a page at ``/`` that shows what the daemon does.

The page is the same for everybody and tells nothing of this machine, so it needs no key; it asks
the native API for all that it shows, with the key that a person gives it.
"""

from __future__ import annotations

from aiohttp import web

from ..errors import NotFound
from .endpoint import endpoint
from .pages import PAGE_POLICY, WEB, Page, file_returns

_FOLDER = WEB / "dashboard"
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

PAGE = Page(
    _FOLDER,
    {
        file.name: _MEDIA_TYPES[file.suffix]
        for file in sorted(_FOLDER.iterdir())
        if file.suffix in _MEDIA_TYPES
    },
    # No script can make markup of a text: browsers refuse `innerHTML` and the like.
    f"{PAGE_POLICY}; require-trusted-types-for 'script'; trusted-types 'none'",
)


@endpoint(
    "GET",
    "/",
    public=True,
    summary="The dashboard, a page for people.",
    operation="getDashboard",
    returns=file_returns("The page.", "text/html"),
)
async def dashboard(request: web.Request) -> web.StreamResponse:
    """A page that loads nothing from elsewhere."""
    return PAGE.index()


@endpoint(
    "GET",
    "/dashboard/{asset}",
    public=True,
    summary="A file of the dashboard.",
    operation="getDashboardAsset",
    returns=file_returns("The file.", *sorted(_MEDIA_TYPES.values())),
    raises=(NotFound,),
)
async def asset(request: web.Request) -> web.StreamResponse:
    """Style, script or picture."""
    return PAGE.asset(request.match_info["asset"])


ENDPOINTS = (dashboard, asset)
