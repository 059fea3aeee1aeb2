"""The document: every route with what it takes, gives and fails with."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from ..dialect import IGNORED, Dialect
from ..endpoint import JSON, Endpoint, Returns
from . import failures
from .schemas import Schema, Schemas

_HERE = Path(__file__).parent

API_VERSION = "1"
"""Of the APIs; a stranger is not told which version of the program answers."""

STREAMS = ("text/event-stream", "application/x-ndjson")
ITEM_SCHEMA = "x-itemSchema"
"""Beside the schema of a stream, that of the JSON in one event: OpenAPI 3.2's `itemSchema`."""

_PARAMETER = re.compile(r"\{(?P<name>\w+)(?::[^}]*)?\}")
_PARAMETERS: Mapping[str, str] = {
    "approval": "The id of what an agent asks, as its `approval_request` says.",
    "asset": "The name of the file.",
    "id": "The id.",
    "model": "`backend` or `backend/model`, as the list says.",
    "response": "The id of the response.",
}
_DESCRIPTION = """\
clinvk turns the AI command-line agents of this machine into HTTP APIs.

Three of them share the same agents and sessions: the native API says everything an agent tells, \
the OpenAI and the Anthropic API take the clients that already exist.

Once API keys are configured every request needs one, as `Authorization: Bearer` or as \
`X-Api-Key`; only the pages, this description and a short `/health` need none, but a wrong key is \
refused there, too. As long as there are none, only processes of the user that runs the daemon, \
and of root, may ask.

`X-Request-Id` may be sent with every request; it comes back, and is in the log."""
_ABOUT: Mapping[str, str] = {
    "/api/v1": "Agents as they are: prompts, workflows, sessions and jobs.",
    "/openai/v1": "For clients and SDKs made for OpenAI: the base URL is `/openai/v1`.",
    "/anthropic": (
        "For clients and SDKs made for Anthropic: the base URL is `/anthropic`. Everything is"
        " there under `/anthropic/v1/v1` as well, for clients that add a second `/v1`."
    ),
    "": "The state of the daemon, and this description.",
}
_SECURITY_SCHEMES: Schema = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "header": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Api-Key",
        "description": "An API key, as Anthropic's clients send it.",
    },
    "query": {
        "type": "apiKey",
        "in": "query",
        "name": "api_key",
        "description": "An API key in the address, where the configuration allows it.",
    },
}
_NO_KEY: Schema = {}
"""Allowed as long as no keys are configured."""
_HEADERS: Schema = {
    "X-Request-Id": {
        "description": "The request's id: your own, or one that was made.",
        "schema": {"type": "string"},
    },
    "request-id": {
        "description": "The request's id: your own, or one that was made.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds after which the same request may succeed.",
        "schema": {"type": "integer", "minimum": 0},
    },
    IGNORED: {
        "description": "Names of what was asked and is not honoured.",
        "schema": {"type": "string"},
    },
}
_IDEMPOTENCY_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same request sent twice with the same key is carried out once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


@dataclass(frozen=True, slots=True)
class _Examples:
    """Of one operation: requests by what they show, answers by status, streams by media type."""

    requests: Mapping[str, Any]
    answers: Mapping[str, Any] = field(default_factory=dict)
    streams: Mapping[str, str] = field(default_factory=dict)


def document(dialects: Sequence[type[Dialect]]) -> Schema:
    """All routes of the dialects. One that is there under several paths stands under the first."""
    requests = yaml.safe_load((_HERE / "requests.yaml").read_bytes())
    answers = json.loads((_HERE / "answers.json").read_bytes())
    paths: dict[str, Schema] = {}
    schemas: dict[str, Schema] = {}
    responses: dict[str, Schema] = {}
    for dialect in dialects:
        endpoints = {endpoint.operation: endpoint for endpoint in reversed(dialect.endpoints)}
        types = _schemas_of(dialect, list(endpoints.values()))
        responses |= failures.responses(dialect, types.given(dialect.error_body))
        for endpoint in reversed(endpoints.values()):
            path = dialect.prefix + _PARAMETER.sub(r"{\g<name>}", endpoint.path)
            examples = _Examples(
                requests.get(endpoint.operation, {}), **answers.get(endpoint.operation, {})
            )
            operation = _operation(dialect, endpoint, types, examples)
            paths.setdefault(path, {})[endpoint.method.lower()] = operation
        schemas |= types.components
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "clinvk",
            "version": API_VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This daemon."}],
        "tags": [{"name": d.title, "description": _ABOUT[d.prefix]} for d in dialects],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": responses,
            "headers": _HEADERS,
            "parameters": {"IdempotencyKey": _IDEMPOTENCY_KEY},
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def _schemas_of(dialect: type[Dialect], endpoints: Sequence[Endpoint]) -> Schemas:
    taken = [type_ for e in endpoints for type_ in (e.body, e.query) if type_ is not None]
    given = [returns.body for e in endpoints for returns in e.returns if returns.body is not None]
    prefix = dialect.__name__.removesuffix("Dialect")
    return Schemas(prefix, taken, [*given, dialect.error_body])


def _operation(
    dialect: type[Dialect], endpoint: Endpoint, types: Schemas, examples: _Examples
) -> Schema:
    keys: list[Schema] = [{name: []} for name in _SECURITY_SCHEMES]
    operation: Schema = {
        "operationId": endpoint.operation,
        "tags": [dialect.title],
        "summary": endpoint.summary.removesuffix("."),
        "description": inspect.getdoc(endpoint.handler),
        "security": [_NO_KEY, *keys],
    }
    if parameters := [*_parameters(endpoint, types)]:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        content = {"schema": types.taken(endpoint.body), **_named(examples.requests)}
        operation["requestBody"] = {"required": True, "content": {JSON: content}}
    operation["responses"] = _responses(dialect, endpoint, types, examples) | {
        str(status): failures.reference(dialect, status)
        for status in failures.statuses(dialect, endpoint)
    }
    return operation


def _parameters(endpoint: Endpoint, types: Schemas) -> Iterator[Schema]:
    for match in _PARAMETER.finditer(endpoint.path):
        name = match["name"]
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PARAMETERS[name],
            "schema": {"type": "string", "minLength": 1},
        }
    if endpoint.query is not None:
        yield from _query(endpoint.query, types)
    for name, meaning in endpoint.headers.items():
        yield {
            "name": name,
            "in": "header",
            "description": meaning,
            "schema": {"type": "string"},
        }
    if endpoint.method == "POST":
        yield {"$ref": "#/components/parameters/IdempotencyKey"}


def _query(model: type[BaseModel], types: Schemas) -> Iterator[Schema]:
    """The members of the model; a null among their types means that they may be left out."""
    for member, schema in types.parameters(model).items():
        if member in {scheme.get("name") for scheme in _SECURITY_SCHEMES.values()}:
            continue
        shown = {key: value for key, value in schema.items() if key != "description"}
        if shown.get("default", ...) is None:
            del shown["default"]
        match shown.pop("anyOf", None):
            case [dict(only), {"type": "null"}]:
                shown |= only
            case None:
                pass
            case several:
                shown["anyOf"] = several
        yield {
            "name": member,
            "in": "query",
            "description": schema.get("description", ""),
            "schema": shown,
        }


def _responses(
    dialect: type[Dialect], endpoint: Endpoint, types: Schemas, examples: _Examples
) -> dict[str, Schema]:
    headers = [dialect.request_id_header]
    if endpoint.body is not None:
        headers.append(IGNORED)
    found: dict[str, Schema] = {}
    for returns in endpoint.returns:
        response = found.setdefault(
            str(returns.status),
            {
                "description": returns.when,
                "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
            },
        )
        if returns.when not in response["description"]:
            response["description"] += f"\n\n{returns.when}"
        for media_type in returns.media_types if returns.body is not None else ():
            content = _content(returns, media_type, types, examples)
            response.setdefault("content", {})[media_type] = content
    return found


def _content(returns: Returns, media_type: str, types: Schemas, examples: _Examples) -> Schema:
    if media_type in STREAMS:
        told: Schema = {"schema": {"type": "string"}, ITEM_SCHEMA: types.given(returns.body)}
        example = examples.streams.get(media_type)
    else:
        told = {"schema": types.given(returns.body)}
        example = examples.answers.get(str(returns.status))
    return told if example is None else {**told, "example": example}


def _named(examples: Mapping[str, Any]) -> Schema:
    if not examples:
        return {}
    return {"examples": {name: {"value": value} for name, value in examples.items()}}
