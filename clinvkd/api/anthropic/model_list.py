"""``GET /models`` in the form of the Messages API."""

from __future__ import annotations

from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from ...attribute_docs import described
from ...errors import NotFound
from ..endpoint import Returns, endpoint, query_of
from ..listing import models_for
from .answer_types import Model, ModelList

CREATED = "2025-01-01T00:00:00Z"  # one fixed moment: the list says what can be asked


class ModelsQuery(BaseModel):
    """Which models are wanted."""

    model_config = ConfigDict(defer_build=True, json_schema_extra=described)

    limit: Annotated[int, Field(ge=1, le=1000)] = 20
    """Most models."""

    after_id: str | None = None
    """Id of the model before the first one wanted."""

    before_id: str | None = None
    """Id of the model after the last one wanted."""


@endpoint(
    "GET",
    "/models",
    query=ModelsQuery,
    summary="List the models.",
    operation="listMessageModels",
    returns=(Returns(ModelList),),
)
async def models(request: web.Request) -> web.StreamResponse:
    """A page of those of available backends that the key is for: ``limit``, ``after_id``,
    ``before_id``."""
    names = models_for(request, unavailable=False)
    query = query_of(request, ModelsQuery)
    if query.after_id in names:
        names = names[names.index(query.after_id) + 1 :]
    if query.before_id in names:
        names = names[: names.index(query.before_id)]
        page = names[-query.limit :]  # the nearest ones before it
    else:
        page = names[: query.limit]
    return _json(
        {
            "data": [_model(name) for name in page],
            "has_more": len(names) > len(page),
            "first_id": page[0] if page else None,
            "last_id": page[-1] if page else None,
        }
    )


@endpoint(
    "GET",
    "/models/{model:.+}",
    summary="Look up one model.",
    operation="retrieveMessageModel",
    returns=(Returns(Model),),
    raises=(NotFound,),
)
async def model(request: web.Request) -> web.StreamResponse:
    """One model, whether it is available or not."""
    name = request.match_info["model"]
    if name not in models_for(request, unavailable=True):
        raise NotFound(f"there is no model {name[:80]!r}", param="model")
    return _json(_model(name))


def _model(name: str) -> Model:
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": CREATED,
        "lifecycle": "active",
    }


def _json(body: Any) -> web.Response:
    return web.Response(body=to_json(body), content_type="application/json")
