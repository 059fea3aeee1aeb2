"""Reads and checks the body against the model of the route."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from ..api.endpoint import set_body
from ..api.inspection import SENT
from ..config import Settings
from ..errors import InvalidRequest, RequestTimeout
from .passage import PASSAGE

_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_NAME = 80  # of a field in a message: callers choose these names


def body(settings: Settings, _app: web.Application) -> Middleware:
    """Give handlers a checked body; `server.read_timeout_secs` bounds the reading."""
    seconds = settings.server.read_timeout_secs

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        declared = request[PASSAGE].declared
        if declared is not None and declared.body is not None:
            try:
                async with asyncio.timeout(seconds):
                    raw = await request.read()
            except TimeoutError:
                raise RequestTimeout(f"the body did not arrive within {seconds:g} s") from None
            except web.RequestPayloadError as error:  # told only by aiohttp's parser in Python
                raise InvalidRequest(f"the body could not be read: {error}") from None
            request[SENT] = raw
            set_body(request, parse(declared.body, raw))
        return await handler(request)

    return middleware


def parse(model: type[BaseModel], raw: bytes) -> BaseModel:
    """Read a body.

    Raises:
        InvalidRequest: naming the field at fault and what is allowed there.
    """
    try:
        if b"NaN" in raw or b"Infinity" in raw:  # pydantic reads them; they are not JSON
            from_json(raw, allow_inf_nan=False)
        return model.model_validate_json(raw)
    except ValidationError as error:
        # The deepest: of the members of a union it is the one the caller meant.
        found = error.errors(include_url=False, include_input=False)
        worst = max(found, key=lambda problem: len(problem["loc"]))
    except ValueError as error:
        raise _malformed(raw, str(error)) from None
    if worst["type"] == "json_invalid":
        raise _malformed(raw, worst["msg"])
    path = _path(worst["loc"], from_json(raw), missing=worst["type"] == "missing")
    match worst["type"]:
        case "missing":
            message = f"{path} is required"
        case "extra_forbidden":
            message = f"{path} is not a field of this request"
        case _:
            message = f"{path or 'the body'}: {worst['msg'][:1].lower()}{worst['msg'][1:]}"
    raise InvalidRequest(message, param=path or None)


def _malformed(raw: bytes, message: str) -> InvalidRequest:
    """Malformed JSON; text that no encoding can carry is named by its field."""
    try:
        where = next(_with_surrogates(json.loads(raw), ""), None)
    except (ValueError, RecursionError):
        where = None
    if where is None:
        return InvalidRequest(f"the body is not valid JSON: {message}")
    return InvalidRequest(
        f"{where or 'the body'} holds a lone surrogate, which is not Unicode text",
        param=where or None,
    )


def _with_surrogates(value: Any, path: str) -> Iterator[str]:
    """Where in a body there are any; an empty path stands for the body itself."""
    match value:
        case str():
            if _SURROGATE.search(value):
                yield path
        case dict():
            for name, member in value.items():
                if _SURROGATE.search(name):
                    yield path
                yield from _with_surrogates(member, _below(path, name))
        case list():
            for index, member in enumerate(value):
                yield from _with_surrogates(member, f"{path}[{index}]")


def _path(location: tuple[int | str, ...], value: Any, *, missing: bool) -> str:
    """``messages[2].role`` of a pydantic location in the body `value`.

    What leads nowhere there is the name of a union's member, except at the end of a location
    that is about a missing field.
    """
    path = ""
    for part, following in zip_longest(location, location[1:]):
        match part, value:
            case int(), list() if part < len(value):
                path, value = f"{path}[{part}]", value[part]
            case str(), {"type": str(member)} if part == member and following in value:
                pass  # this member may be named as one of its fields
            case str(), dict() if part in value:
                path, value = _below(path, part), value[part]
            case str(), _ if missing and following is None:
                path = _below(path, part)
    return path


def _below(path: str, name: str) -> str:
    name = name[:_LONGEST_NAME]
    return f"{path}.{name}" if path else name
