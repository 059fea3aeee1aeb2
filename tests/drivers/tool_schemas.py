"""Schemas of tools as callers send them: one of each keyword, and what clients generate."""

from __future__ import annotations

from typing import Final

from clinvkd.drivers.base import Json


def of(**schema: object) -> Json:
    """A tool's schema with one property."""
    return {"type": "object", "properties": {"a": schema}}


_NODE: Final[Json] = {
    "type": "object",
    "description": "A node",
    "properties": {"value": {"type": "string"}, "next": {"$ref": "#/$defs/Node"}},
    "required": ["value"],
}

PASSED_ON: Final[dict[str, Json]] = {
    "types": of(type=["string", "null"]),
    "choices": of(type="integer", enum=[1, 2]),
    "list": of(type="array", items={"type": "string"}, minItems=1),
    "anything": of(),
    "either": of(anyOf=[{"type": "string"}, {"type": "null"}], description="Or nothing"),
    "one of": of(oneOf=[{"type": "string"}, {"type": "integer"}]),
    "closed": {"type": "object", "properties": {}, "additionalProperties": False},
    "references": {
        "type": "object",
        "description": "A list",
        "properties": {"head": {"$ref": "#/$defs/Node", "description": "Its head"}},
        "required": ["head"],
        "additionalProperties": False,
        "$defs": {"Node": _NODE},
    },
    "named like keywords": {
        "type": "object",
        "properties": {"pattern": {"type": "string"}, "const": {"type": "string"}},
    },
}
"""What codex knows all of."""

OTHERS: Final[dict[str, Json]] = {
    "text": of(type="string", minLength=1, maxLength=5, pattern="^a", format="email", default="x"),
    "number": of(type="number", minimum=1, exclusiveMaximum=9, multipleOf=2, description="Even"),
    "constant text": of(const="x"),
    "constant number": of(const=5),
    "constant object": of(const={"b": [1]}),
    "mixed choices": of(enum=["a", 1, 1.5, True, None, [], {}]),
    "untyped": of(description="Whatever"),
    "no type but a pattern": of(pattern="^x"),
    "any list": of(type="array"),
    "bounded list": of(type="array", items={"type": "string"}, maxItems=3, uniqueItems=True),
    "tuple": of(type="array", prefixItems=[{"type": "string"}, {"type": "integer"}], items=False),
    "contains": of(type="array", items={"type": "integer"}, contains={"const": 3}),
    "open object": of(type="object"),
    "patterned object": of(
        type="object",
        properties={"x": {"type": "string"}},
        patternProperties={"^y": {"type": "integer"}},
        propertyNames={"maxLength": 3},
        additionalProperties=False,
    ),
    "depends": of(
        **{
            "type": "object",
            "properties": {"x": {"type": "string"}},
            "if": {"properties": {"x": {"const": "a"}}, "required": ["x"]},
            "then": {"required": ["y"]},
            "dependentRequired": {"x": ["z"]},
        }
    ),
    "not": of(**{"not": {"type": "string"}}),
    "title that tells": of(type="string", title="Country code of ISO 3166"),
    "true": {"type": "object", "properties": {"a": True}},
    "false": {"type": "object", "properties": {"a": False}},
    "no type": {"properties": {"a": {"type": "string"}}},
    "nothing": {},
    "pydantic": {
        "title": "Order",
        "type": "object",
        "$defs": {"Size": {"title": "Size", "type": "string", "enum": ["s", "m"]}},
        "properties": {
            "size": {"$ref": "#/$defs/Size", "default": "m"},
            "note": {
                "anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}],
                "default": None,
                "title": "Note",
            },
            "pieces": {"type": "integer", "exclusiveMinimum": 0, "title": "Pieces"},
        },
        "required": ["pieces"],
    },
    "zod": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "kind": {"type": "string", "const": "mail"},
            "to": {"type": "string", "format": "email", "minLength": 3},
        },
        "required": ["kind", "to"],
        "additionalProperties": False,
    },
}
"""What codex would change or lose something of."""

BY_NAME: Final[Json] = {
    "type": "object",
    "properties": {"a": {"$ref": "#leaf"}},
    "$defs": {"Leaf": {"$anchor": "leaf", "type": "string"}},
}
"""A reference by the name of its target, which codex takes for an unused definition."""

LARGE: Final[Json] = {
    "type": "object",
    "properties": {
        f"p{number:02}": {"type": "string", "description": "What it is for. " * 8}
        for number in range(40)
    },
}
