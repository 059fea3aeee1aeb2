"""``GET /models``: backends, their configured models, and configured aliases."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json

from ...attribute_docs import described
from ...errors import NotFound
from ..endpoint import Returns, endpoint, query_of
from ..listing import models_for
from .answer_types import Model, ModelList

CREATED = 1_735_689_600  # one fixed moment: the list says what can be asked, not since when


class ModelsQuery(BaseModel):
    """Which models are wanted."""

    model_config = ConfigDict(defer_build=True, json_schema_extra=described)

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
    """Those of available backends that the key is for; with ``?include=unavailable`` of all."""
    query = query_of(request, ModelsQuery)
    listed = models_for(request, unavailable=query.include == "unavailable")
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
    if name not in models_for(request, unavailable=True):
        raise NotFound(f"The model {name!r} does not exist", param="model")
    return _json(_model(name))


def _model(name: str) -> Model:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "clinvoker"}


def _json(body: Any) -> web.Response:
    return web.Response(body=to_json(body), content_type="application/json")
