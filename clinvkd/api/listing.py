"""What of the configuration a caller is shown: the backends and models that it may use."""

from __future__ import annotations

from aiohttp import web

from ..engine import Engine
from ..keys import Scopes
from .endpoint import CALLER, ENGINE


def models_for(request: web.Request, *, unavailable: bool) -> list[str]:
    """The published ids of models that the caller's key is for.

    Args:
        unavailable: whether also those of backends that cannot be used now.
    """
    engine, scopes = request.app[ENGINE], request[CALLER].scopes
    return [
        name
        for name, backend in engine.models.listed()
        if _allows(scopes, engine, name, backend)
        and (unavailable or engine.pool(backend).crew.unavailable() is None)
    ]


def _allows(scopes: Scopes, engine: Engine, name: str, backend: str) -> bool:
    if not scopes.allows_backend(backend):
        return False
    return scopes.models is None or scopes.allows_model(name, engine.models.resolve(name).model)
