"""What is wrong with a JSON Schema (2020-12), in words for the one who sent it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, Schema, SchemaResource

_Resolver: TypeAlias = Any  # `referencing` keeps the class to itself

_REFERENCES = ("$ref", "$dynamicRef")
_IN_PLACE = ("not", "if", "then", "else")
_IN_PLACE_LISTS = ("allOf", "anyOf", "oneOf")


def fault(schema: dict[str, Any]) -> str | None:
    """Why it is no schema, or None when it is one.

    Raises:
        RecursionError: it is nested too deeply.
    """
    try:
        # Patterns are of another language, which knows what Python's does not.
        Draft202012Validator.check_schema(schema, format_checker=FormatChecker(()))
    except SchemaError as error:
        return _told(error)
    return None


def fault_as_judge(schema: dict[str, Any]) -> str | None:
    """Why nothing can be judged by a schema that is one, or None when anything can."""
    try:
        Draft202012Validator.check_schema(schema)
        _check_references(schema)
    except SchemaError as error:
        return _told(error)
    except Unresolvable as error:
        return f"the reference {error.ref[:200]!r} leads nowhere in the schema"
    except RecursionError:
        return "a reference leads back to itself, or through too many others"
    except ValueError as error:  # an identifier that is no URI
        return f"not a JSON Schema: {str(error)[:200]}"
    return None


def _told(error: SchemaError) -> str:
    place = ".".join(str(part) for part in error.absolute_path)
    return f"not a JSON Schema: {place + ': ' if place else ''}{error.message[:200]}"


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
