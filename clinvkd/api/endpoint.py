"""The one declaration of a route: what it takes, what it gives, and whether it is public.

Requests are checked against it, and the OpenAPI document is made of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from ..engine import Engine
from ..errors import (
    AgentExited,
    BackendError,
    BackendRefused,
    BackendUnavailable,
    ClinvkError,
    Conflict,
    InternalError,
    InvalidRequest,
    LoopDetected,
    NotFound,
    StoreUnavailable,
    TurnTimeout,
)
from ..keys import Caller, KeyRing
from ..store import Claim

_Model = TypeVar("_Model", bound=BaseModel)
Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

ENGINE = web.AppKey("ENGINE", Engine)
KEY_RING = web.AppKey("KEY_RING", KeyRing)
CALLER = web.RequestKey("caller", Caller)
CLAIM = web.RequestKey("claim", Claim)
"""The idempotency key of the request, when it has one; a job that is made of it stands for it."""
JOB = web.RequestKey("job", str)
"""The job that stands for the request, when there is one."""
_BODY = web.RequestKey("body", BaseModel)


JSON = "application/json"
TURN_ERRORS: tuple[type[ClinvkError], ...] = (
    NotFound,
    Conflict,
    BackendRefused,
    LoopDetected,
    BackendError,
    BackendUnavailable,
    AgentExited,
    StoreUnavailable,
    TurnTimeout,
)
"""How a request can fail that an agent works on."""


@dataclass(frozen=True, slots=True)
class Returns:
    """What a request may be answered with, if not with one of our errors.

    Attributes:
        body: type of the answer, a model or a `TypedDict`, or of one event if it is a stream;
            None for an empty answer.
        when: in words: when it is this one, or what it is.
        status: of HTTP.
        media_types: those that the caller may choose from.
    """

    body: Any = None
    when: str = "The answer."
    status: int = 200
    media_types: tuple[str, ...] = (JSON,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A route.

    Attributes:
        path: below the dialect's prefix.
        body: model of the JSON body; None for a route without one.
        query: model of the query parameters; None: they are of no interest.
        headers: those of the request that mean something to this route alone, and what.
        public: whether it may be called without a key, once there are keys.
        summary: one line for people.
        operation: its name in generated clients, unique and never changed.
        returns: what it answers with when it succeeds.
        raises: errors of its own; those that every route may have are not listed.
    """

    method: str
    path: str
    handler: Handler
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    public: bool = False
    summary: str = ""
    operation: str = ""
    returns: tuple[Returns, ...] = ()
    raises: tuple[type[ClinvkError], ...] = ()

    @property
    def models(self) -> tuple[type[BaseModel], ...]:
        """The models of what it takes and gives."""
        found = (self.body, self.query, *(each.body for each in self.returns))
        return tuple(
            each for each in found if isinstance(each, type) and issubclass(each, BaseModel)
        )


def endpoint(
    method: str,
    path: str,
    *,
    body: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
    public: bool = False,
    summary: str,
    operation: str = "",
    returns: tuple[Returns, ...] = (),
    raises: tuple[type[ClinvkError], ...] = (),
) -> Callable[[Handler], Endpoint]:
    """Declare the decorated handler as a route."""

    def declare(handler: Handler) -> Endpoint:
        return Endpoint(
            method=method,
            path=path,
            handler=handler,
            body=body,
            query=query,
            headers=headers,
            public=public,
            summary=summary,
            operation=operation,
            returns=returns,
            raises=raises,
        )

    return declare


def set_body(request: web.Request, body: BaseModel) -> None:
    """Keep the checked body for the handler."""
    request[_BODY] = body


def checked_body(request: web.Request) -> BaseModel | None:
    """The checked body of a request that has one."""
    return request.get(_BODY)


def body_of(request: web.Request, model: type[_Model]) -> _Model:
    """The checked body."""
    body = request.get(_BODY)
    if not isinstance(body, model):
        raise InternalError("the body was not read")
    return body


def query_of(request: web.Request, model: type[_Model]) -> _Model:
    """The checked query parameters; the first of a name counts.

    Raises:
        InvalidRequest: naming the parameter at fault and what is allowed there.
    """
    given = {name: request.query[name] for name in request.query}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        name = str(problem["loc"][0]) if problem["loc"] else "the query"
        if problem["type"] == "extra_forbidden":
            known = ", ".join(field.alias or name for name, field in model.model_fields.items())
            message = f"{name[:80]} is not a parameter of this request; there are: {known}"
        else:
            message = f"{name}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"
        raise InvalidRequest(message, param=name[:80]) from None
