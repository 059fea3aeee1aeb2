"""How schemas of the caller's tools are written for codex."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from clinvkd.drivers.base import Json
from clinvkd.drivers.codex.schemas import native_schema
from clinvkd.errors import BackendRefused
from clinvkd.prompt import Tool

from .tool_schemas import BY_NAME, LARGE, OTHERS, PASSED_ON, of

ALSO = "More of its JSON Schema: "


def native(schema: Json, name: str = "order") -> Json:
    """The schema codex gets, where that is all there is to say."""
    written, added = native_schema(Tool(name, "", schema))
    assert added == ""
    return written


def property_of(schema: Json) -> Json:
    written: Json = native(schema)["properties"]["a"]
    return written


def told(schema: Json) -> Json:
    """What a description says beyond what codex passes on."""
    *_, last = schema["description"].split("\n")
    said: Json = json.loads(last.removeprefix(ALSO))
    return said


@pytest.mark.parametrize("name", PASSED_ON)
def test_what_codex_knows_is_left_alone(name: str) -> None:
    assert native(PASSED_ON[name]) == PASSED_ON[name]


VALUES: list[Any] = [
    None, True, 0, 1, 2, 5, 12, 1.5, "", "x", "abc", "2024-01-01", [], [3], ["b", 1], [1, 1],
    {}, {"b": [1]}, {"x": "a"}, {"x": "b", "z": 1}, {"y1": 1}, {"y1": "no"}, {"long-name": 1},
]  # fmt: skip


@pytest.mark.parametrize("name", PASSED_ON | OTHERS)
def test_nothing_that_was_allowed_is_forbidden(name: str) -> None:
    schema = (PASSED_ON | OTHERS)[name]
    before, after = (Draft202012Validator(one) for one in (schema, native(schema)))
    members = schema.get("properties", {"a": {}})
    given = [{}, *({member: value} for member, value in itertools.product(members, VALUES))]
    given += [{"pieces": 1, **one} for one in given]
    given += [{"to": "a@b", "kind": "mail"}, {"head": {"value": "x", "next": {"value": "y"}}}]
    # A pattern without a type holds for texts and lets all else pass, though nobody means that.
    alone = name == "no type but a pattern"
    meant = [one for one in given if not alone or isinstance(one.get("a"), str)]
    allowed = [one for one in meant if before.is_valid(one)]
    assert allowed
    assert [one for one in allowed if not after.is_valid(one)] == []


def test_what_codex_would_lose_is_said_in_the_description() -> None:
    number = property_of(OTHERS["number"])
    assert number["description"].startswith("Even\n" + ALSO)
    assert told(number) == {"minimum": 1, "exclusiveMaximum": 9, "multipleOf": 2}
    assert told(property_of(OTHERS["tuple"])) == {
        "prefixItems": [{"type": "string"}, {"type": "integer"}],
        "items": False,
    }
    assert told(property_of(OTHERS["patterned object"])) == {
        "patternProperties": {"^y": {"type": "integer"}},
        "propertyNames": {"maxLength": 3},
        "additionalProperties": False,
    }
    assert told(property_of(OTHERS["depends"])).keys() == {"if", "then", "dependentRequired"}
    assert told(property_of(OTHERS["false"])) == {"not": {}}
    assert told(property_of(OTHERS["title that tells"])) == {"title": "Country code of ISO 3166"}


@pytest.mark.parametrize(
    ("schema", "types"),
    [
        (of(const="x"), "string"),
        (of(const=5), "integer"),
        (of(const=None), "null"),
        (of(const={"b": [1]}), "object"),
        (of(enum=["a", 1, 2]), ["string", "integer"]),
        (of(pattern="x"), "string"),
        (of(minimum=1), "number"),
        (of(items={}), "array"),
        (of(required=["x"], maxItems=2), ["object", "array"]),
        (of(description="x"), ["string", "number", "boolean", "object", "array", "null"]),
    ],
)
def test_types_are_written_before_codex_makes_them_up(schema: Json, types: Any) -> None:
    assert property_of(schema)["type"] == types


def test_a_constant_is_a_choice_of_one() -> None:
    assert property_of(of(const=5)) == {"type": "integer", "enum": [5]}


def test_what_clients_add_of_themselves_costs_nothing() -> None:
    assert native(OTHERS["pydantic"]) == {
        "type": "object",
        "$defs": {"Size": {"type": "string", "enum": ["s", "m"]}},
        "properties": {
            "size": {"$ref": "#/$defs/Size", "description": ALSO + '{"default":"m"}'},
            "note": {
                "anyOf": [
                    {"type": "string", "description": ALSO + '{"maxLength":9}'},
                    {"type": "null"},
                ],
                "description": ALSO + '{"default":null}',
            },
            "pieces": {"type": "integer", "description": ALSO + '{"exclusiveMinimum":0}'},
        },
        "required": ["pieces"],
    }
    assert "$schema" not in json.dumps(native(OTHERS["zod"]))


@pytest.mark.parametrize(
    "schema",
    [
        LARGE,
        BY_NAME,
        of(type="string", **{"not": {"$ref": "#/$defs/Bad"}}) | {"$defs": {"Bad": {"const": "b"}}},
        {
            "type": "object",
            "properties": {
                "a": {"$ref": "#/properties/b/prefixItems/0"},
                "b": {"type": "array", "prefixItems": [{"type": "string"}]},
            },
        },
    ],
)
def test_what_cannot_be_said_in_its_place_is_said_whole(schema: Json) -> None:
    written, added = native_schema(Tool("order", "", schema))
    assert json.loads(added.removeprefix("The arguments must match this JSON Schema: ")) == schema
    assert ALSO not in json.dumps(written)
    assert written["properties"].keys() == schema["properties"].keys()


def test_arguments_are_an_object() -> None:
    assert native({"type": ["object", "null"], "properties": {}})["type"] == "object"
    for wrong in ("string", ["array", "null"]):
        with pytest.raises(BackendRefused, match="'order' must take an object") as caught:
            native({"type": wrong})
        assert caught.value.param == "tools"
