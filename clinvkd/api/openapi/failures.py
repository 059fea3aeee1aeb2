"""Error responses: for each dialect one component per HTTP status, with every error it stands for.

The examples are made by the dialect itself, as the responses are.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator

from ...errors import (
    Canceled,
    ClinvkError,
    Conflict,
    Forbidden,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    PayloadTooLarge,
    RateLimited,
    RequestTimeout,
    ShuttingDown,
    StoreUnavailable,
    Unauthorized,
    UnsupportedMediaType,
)
from ..dialect import Dialect
from ..endpoint import Endpoint
from .schemas import Schema

_EVERYWHERE = (
    InvalidRequest,
    Unauthorized,  # a wrong key is refused where none is needed, too
    Forbidden,
    PayloadTooLarge,
    UnsupportedMediaType,
    RateLimited,
    InternalError,
    ShuttingDown,
)
_WITH_BODY = (RequestTimeout,)
_WITH_IDEMPOTENCY_KEY = (Conflict, StoreUnavailable)
_NEVER_AN_ANSWER = (Canceled, MethodNotAllowed)
_PHRASES = {
    400: "The request cannot be served as it was written.",
    401: "A valid API key is needed.",
    403: "It is not allowed.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    409: "It meets something that is under way.",
    413: "The body is too large.",
    415: "The body is not declared as JSON.",
    429: "Too many requests.",
    500: "Something failed.",
    503: "It cannot be done now.",
    504: "It took too long.",
    529: "It is busy.",
}
_REQUEST_ID = "req_011CV8vJ4Wq6"


def statuses(dialect: type[Dialect], endpoint: Endpoint) -> list[int]:
    """With which HTTP statuses a request can fail, in order."""
    kinds: set[type[ClinvkError]] = {*_EVERYWHERE, *endpoint.raises}
    if endpoint.body is not None:
        kinds.update(_WITH_BODY)
    if endpoint.method == "POST":
        kinds.update(_WITH_IDEMPOTENCY_KEY)
    return sorted({status for kind in kinds for status in _statuses_of(dialect, kind)})


def reference(dialect: type[Dialect], status: int) -> Schema:
    """A reference to the response of a status."""
    return {"$ref": f"#/components/responses/{_name(dialect, status)}"}


def responses(dialect: type[Dialect], envelope: Schema) -> dict[str, Schema]:
    """The responses of a dialect for all errors there are, by their names in the document."""
    by_status: dict[int, list[type[ClinvkError]]] = {}
    for kind in _all(ClinvkError):
        for status in _statuses_of(dialect, kind):
            by_status.setdefault(status, []).append(kind)
    return {
        _name(dialect, status): {
            "description": _description(status, kinds),
            "headers": _headers(dialect, status),
            "content": {
                "application/json": {
                    "schema": envelope,
                    "examples": {kind.code: _example(dialect, kind, status) for kind in kinds},
                }
            },
        }
        for status, kinds in sorted(by_status.items())
    }


def _all(kind: type[ClinvkError]) -> Iterator[type[ClinvkError]]:
    if kind is not ClinvkError and kind not in _NEVER_AN_ANSWER:
        yield kind
    for derived in kind.__subclasses__():
        yield from _all(derived)


def _statuses_of(dialect: type[Dialect], kind: type[ClinvkError]) -> set[int]:
    """A dialect may tell an error that will pass by another status."""
    return {dialect.status_of(kind("")), dialect.status_of(kind("", retry_after=1))}


def _description(status: int, kinds: Iterable[type[ClinvkError]]) -> str:
    reasons = [f"- `{kind.code}`: {inspect.getdoc(kind)}" for kind in kinds]
    return "\n".join([_PHRASES[status], "", *reasons])


def _headers(dialect: type[Dialect], status: int) -> Schema:
    names = [dialect.request_id_header]
    if status in (429, 503, 529):
        names.append("Retry-After")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _example(dialect: type[Dialect], kind: type[ClinvkError], status: int) -> Schema:
    error = kind((inspect.getdoc(kind) or "").partition("\n")[0])
    if dialect.status_of(error) != status:
        error.retry_after = 1
    return {"value": dialect.render_error(error, _REQUEST_ID)}


def _name(dialect: type[Dialect], status: int) -> str:
    return f"{dialect.__name__.removesuffix('Dialect')}{status}"
