"""``GET /models``: backends, their configured models, and configured aliases."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic_core import to_json

from ...engine import Engine
from ...errors import NotFound
from ..endpoint import ENGINE, endpoint

CREATED = 1_735_689_600  # one fixed moment: the list says what can be asked, not since when


@endpoint("GET", "/models", summary="List the models.")
async def models(request: web.Request) -> web.StreamResponse:
    """Those of available backends; with ``?include=unavailable`` all of them."""
    listed = _listed(request.app[ENGINE], everything=request.query.get("include") == "unavailable")
    return _json({"object": "list", "data": [_model(name) for name in listed]})


@endpoint("GET", "/models/{model:.+}", summary="Look up one model.")
async def model(request: web.Request) -> web.StreamResponse:
    """One model of the list, whether it is available or not."""
    name = request.match_info["model"]
    if name not in _listed(request.app[ENGINE], everything=True):
        raise NotFound(f"The model {name!r} does not exist", param="model")
    return _json(_model(name))


def _listed(engine: Engine, *, everything: bool) -> list[str]:
    return [
        name
        for name, backend in engine.models.listed()
        if everything or engine.pool(backend).crew.unavailable() is None
    ]


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "clinvoker"}


def _json(body: dict[str, Any]) -> web.Response:
    return web.Response(body=to_json(body), content_type="application/json")
