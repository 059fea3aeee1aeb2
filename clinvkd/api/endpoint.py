"""The one declaration of a route: method, path, body model, and whether it is public."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from aiohttp import web
from pydantic import BaseModel

from ..engine import Engine
from ..errors import InternalError

_Model = TypeVar("_Model", bound=BaseModel)
Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

ENGINE = web.AppKey("ENGINE", Engine)
_BODY = web.RequestKey("body", BaseModel)
_endpoints: dict[Handler, Endpoint] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A route.

    Attributes:
        path: below the dialect's prefix.
        body: model of the JSON body; None for a route without one.
        public: whether it may be called without a key, once there are keys.
        summary: one line for people.
    """

    method: str
    path: str
    handler: Handler
    body: type[BaseModel] | None = None
    public: bool = False
    summary: str = ""


def endpoint(
    method: str,
    path: str,
    *,
    body: type[BaseModel] | None = None,
    public: bool = False,
    summary: str,
) -> Callable[[Handler], Endpoint]:
    """Declare the decorated handler as a route."""

    def declare(handler: Handler) -> Endpoint:
        declared = Endpoint(
            method=method, path=path, handler=handler, body=body, public=public, summary=summary
        )
        _endpoints[handler] = declared
        return declared

    return declare


def endpoint_of(request: web.Request) -> Endpoint | None:
    """The endpoint a request was resolved to, or None when there is none."""
    return _endpoints.get(request.match_info.handler)


def set_body(request: web.Request, body: BaseModel) -> None:
    """Keep the checked body for the handler."""
    request[_BODY] = body


def body_of(request: web.Request, model: type[_Model]) -> _Model:
    """The checked body."""
    body = request.get(_BODY)
    if not isinstance(body, model):
        raise InternalError("the body was not read")
    return body
