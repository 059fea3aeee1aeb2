"""``GET /models`` in the form of the Messages API."""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web
from pydantic_core import to_json

from ...engine import Engine
from ...errors import InvalidRequest, NotFound
from ..endpoint import ENGINE, endpoint

CREATED = "2025-01-01T00:00:00Z"  # one fixed moment: the list says what can be asked


@endpoint("GET", "/models", summary="List the models.")
async def models(request: web.Request) -> web.StreamResponse:
    """A page of those of available backends: ``limit``, ``after_id``, ``before_id``."""
    names = _listed(request.app[ENGINE])
    query = request.query
    text = query.get("limit", "20")
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= 1000:
        raise InvalidRequest("must be an integer from 1 to 1000", param="limit")
    limit = int(text)
    if (after := query.get("after_id")) in names:
        names = names[names.index(after) + 1 :]
    if (before := query.get("before_id")) in names:
        names = names[: names.index(before)]
        page = names[-limit:]  # the nearest ones before it
    else:
        page = names[:limit]
    return _json(
        {
            "data": [_model(name) for name in page],
            "has_more": len(names) > len(page),
            "first_id": page[0] if page else None,
            "last_id": page[-1] if page else None,
        }
    )


@endpoint("GET", "/models/{model:.+}", summary="Look up one model.")
async def model(request: web.Request) -> web.StreamResponse:
    """One model, whether it is available or not."""
    name = request.match_info["model"]
    if name not in [listed for listed, _ in request.app[ENGINE].models.listed()]:
        raise NotFound(f"there is no model {name[:80]!r}", param="model")
    return _json(_model(name))


def _listed(engine: Engine) -> list[str]:
    return [
        name
        for name, backend in engine.models.listed()
        if engine.pool(backend).crew.unavailable() is None
    ]


def _model(name: str) -> dict[str, Any]:
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": CREATED,
        "lifecycle": "active",
    }


def _json(body: dict[str, Any]) -> web.Response:
    return web.Response(body=to_json(body), content_type="application/json")
