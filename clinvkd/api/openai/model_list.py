"""``GET /models``: backends, their configured models, and configured aliases."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json

from ...engine import Engine
from ...errors import NotFound
from ..endpoint import ENGINE, Returns, endpoint, query_of
from .answer_types import Model, ModelList

CREATED = 1_735_689_600  # one fixed moment: the list says what can be asked, not since when


class ModelsQuery(BaseModel):
    """Which models are wanted."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    include: str | None = None
    """``unavailable``: also those that cannot be used now."""


@endpoint(
    "GET",
    "/models",
    query=ModelsQuery,
    summary="List the models.",
    operation="listModels",
    returns=(Returns(ModelList),),
)
async def models(request: web.Request) -> web.StreamResponse:
    """Those of available backends; with ``?include=unavailable`` all of them."""
    query = query_of(request, ModelsQuery)
    listed = _listed(request.app[ENGINE], everything=query.include == "unavailable")
    return _json(ModelList(object="list", data=[_model(name) for name in listed]))


@endpoint(
    "GET",
    "/models/{model:.+}",
    summary="Look up one model.",
    operation="retrieveModel",
    returns=(Returns(Model),),
    raises=(NotFound,),
)
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


def _model(name: str) -> Model:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "clinvoker"}


def _json(body: Any) -> web.Response:
    return web.Response(body=to_json(body), content_type="application/json")
