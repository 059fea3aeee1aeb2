"""JSON Schemas of callers, checked before anything runs: later no one could say whose fault it is.

Whether an answer fits is judged elsewhere; here only what would make that impossible is refused.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, TypeAlias

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, Schema, SchemaResource

from ..errors import InvalidRequest

_Resolver: TypeAlias = Any  # `referencing` keeps the class to itself

MOST_KNOWN = 4096
"""Most schemas that are remembered as checked, by their digests."""

_known: OrderedDict[bytes, None] = OrderedDict()
_known_of_answers: OrderedDict[bytes, None] = OrderedDict()
_REFERENCES = ("$ref", "$dynamicRef")
_IN_PLACE = ("not", "if", "then", "else")
_IN_PLACE_LISTS = ("allOf", "anyOf", "oneOf")


def checked_schema(schema: object, where: str) -> dict[str, Any]:
    """A JSON Schema (2020-12) as it came, for somebody else to judge values by.

    Raises:
        InvalidRequest: it is none, naming the field `where`.
    """
    if not isinstance(schema, dict):
        raise InvalidRequest(f"{where}: the schema must be an object", param=where)
    try:
        with _once(_known, schema) as known:
            if not known:
                # Patterns are of another language, which knows what Python's does not.
                Draft202012Validator.check_schema(schema, format_checker=FormatChecker(()))
    except SchemaError as error:
        raise _refusal(error, where) from None
    except RecursionError:
        raise InvalidRequest(f"{where}: the schema is nested too deeply", param=where) from None
    return schema


def answer_schema(schema: object, where: str) -> dict[str, Any]:
    """A JSON Schema (2020-12) as it came, by which any answer can be judged here.

    Raises:
        InvalidRequest: it is none, a pattern in it is no regular expression here, or a reference
            leads out of it, nowhere or in a circle; naming the field `where`.
    """
    checked = checked_schema(schema, where)
    try:
        with _once(_known_of_answers, checked) as known:
            if not known:
                Draft202012Validator.check_schema(checked)
                _check_references(checked)
    except SchemaError as error:
        raise _refusal(error, where) from None
    except Unresolvable as error:
        reason = f"the reference {error.ref[:200]!r} leads nowhere in the schema"
    except RecursionError:
        reason = "a reference leads back to itself, or through too many others"
    except ValueError as error:  # an identifier that is no URI
        reason = f"not a JSON Schema: {str(error)[:200]}"
    else:
        return checked
    raise InvalidRequest(f"{where}: {reason}", param=where) from None


@contextmanager
def _once(known: OrderedDict[bytes, None], schema: dict[str, Any]) -> Iterator[bool]:
    """Whether the schema is known to be right; it is from now on when the block raises nothing.

    Callers send the same tools with every request, and to check one takes milliseconds.
    """
    digest = blake2b(json.dumps(schema).encode(), digest_size=16).digest()
    yield digest in known
    known[digest] = None
    known.move_to_end(digest)
    if len(known) > MOST_KNOWN:
        known.popitem(last=False)


def _refusal(error: SchemaError, where: str) -> InvalidRequest:
    place = ".".join(str(part) for part in error.absolute_path)
    reason = f"{place + ': ' if place else ''}{error.message[:200]}"
    return InvalidRequest(f"{where}: not a JSON Schema: {reason}", param=where)


def _check_references(schema: dict[str, Any]) -> None:
    """Follow every reference, and what else holds for the same value, to its end.

    Raises:
        Unresolvable: a reference leads out of the schema, or nowhere.
        RecursionError: one leads back to where it stands before any part of a value was entered.
    """
    root = DRAFT202012.create_resource(schema)
    registry: Registry[Schema] = Registry().with_resource("", root)
    ended: set[int] = set()
    for part, resolver in _parts(root, registry.resolver()):
        _follow(part, resolver, set(), ended)


def _parts(resource: SchemaResource, resolver: _Resolver) -> Iterator[tuple[Schema, _Resolver]]:
    """The schema and all schemas in it, each with what resolves the references in it."""
    resolver = resolver.in_subresource(resource)
    yield resource.contents, resolver
    for inner in resource.subresources():
        yield from _parts(inner, resolver)


def _follow(schema: Schema, resolver: _Resolver, way: set[int], ended: set[int]) -> None:
    if not isinstance(schema, dict) or id(schema) in ended:
        return
    if id(schema) in way:
        raise RecursionError
    way.add(id(schema))
    for keyword in _REFERENCES:
        if keyword in schema:
            try:
                found = resolver.lookup(schema[keyword])
            except Unresolvable as error:  # which may hold a part of the reference only
                raise Unresolvable(ref=schema[keyword]) from error
            _follow(found.contents, found.resolver, way, ended)
    for inner in _same_value(schema):
        _follow(inner, resolver.in_subresource(DRAFT202012.create_resource(inner)), way, ended)
    way.remove(id(schema))
    ended.add(id(schema))


def _same_value(schema: dict[str, Any]) -> Iterator[Schema]:
    """The schemas in it that are applied to the value itself."""
    yield from (schema[keyword] for keyword in _IN_PLACE if keyword in schema)
    for keyword in _IN_PLACE_LISTS:
        yield from schema.get(keyword, ())
    yield from schema.get("dependentSchemas", {}).values()
