"""Schemas of callers: what no answer could be judged by is refused before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from clinvkd.api.schemas import answer_schema, checked_schema
from clinvkd.errors import InvalidRequest
from clinvkd.judging import fault_of

TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "children": {"items": {"$ref": "#"}}},
            "required": ["name"],
        }
    },
}
NAMED: dict[str, Any] = {
    "$id": "https://example.com/a",
    "anyOf": [{"$ref": "b"}, {"$ref": "#c"}],
    "$defs": {"b": {"$id": "b", "type": "string"}, "c": {"$anchor": "c", "type": "null"}},
}
LONG = {"$ref": "#/$defs/0", "$defs": {str(i): {"$ref": f"#/$defs/{i + 1}"} for i in range(2_000)}}


@pytest.mark.parametrize(
    ("schema", "fits", "fails"),
    [
        (TREE, '{"name": "a", "children": [{"name": "b"}]}', '{"name": "a", "children": [{}]}'),
        (NAMED, '"x"', "5"),
        ({"type": "string", "pattern": "^a+$"}, '"aa"', '"b"'),
        ({}, "5", "five"),
        ({"type": "array"}, "[]", "[" * 100_000),
    ],
    ids=["tree", "named", "pattern", "anything", "deep"],
)  # fmt: skip
def test_schemas_by_which_an_answer_is_judged(
    schema: dict[str, Any], fits: str, fails: str
) -> None:
    judging = answer_schema(schema, "schema")
    assert fault_of(fits, judging) is None
    assert fault_of(fails, judging) is not None


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ("x", "must be an object"),
        ({"type": 5}, "not a JSON Schema: type"),
        ({"type": "number", "minimum": "x"}, "not a JSON Schema: minimum"),
        ({"properties": {"a": {"required": 5}}}, r"properties\.a\.required"),
        ({"properties": []}, "not a JSON Schema: properties"),
        ({"anyOf": []}, "not a JSON Schema: anyOf"),
        ({"pattern": "("}, "not a JSON Schema: pattern"),
        ({"$ref": 5}, "not a JSON Schema"),
        ({"$ref": "http://127.0.0.1:9/x"}, "'http://127.0.0.1:9/x' leads nowhere"),
        ({"$ref": "file:///etc/passwd"}, "leads nowhere"),
        ({"$ref": "#/$defs/a"}, "'#/\\$defs/a' leads nowhere"),
        ({"$dynamicRef": "#a"}, "'#a' leads nowhere"),
        ({"properties": {"a": {"items": {"$ref": "#b"}}}}, "'#b' leads nowhere"),
        ({"$ref": "#"}, "leads back to itself"),
        ({"not": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}}, "leads back to itself"),
        (
            {"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}},
            "leads back to itself",
        ),
        (LONG, "through too many others"),
        ({"$id": "http://[bad", "$ref": "x"}, "not a JSON Schema: Invalid IPv6 URL"),
    ],
)  # fmt: skip
def test_schemas_by_which_none_can_be(schema: object, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says) as caught:
        answer_schema(schema, "schema")
    assert caught.value.param == "schema"


def test_a_tools_schema_may_be_what_only_others_understand() -> None:
    for schema in ({"pattern": r"^\p{L}+$"}, {"$ref": "https://example.com/x"}):
        assert checked_schema(schema, "tools[0]") == schema
    with pytest.raises(InvalidRequest, match="not a JSON Schema: type"):
        checked_schema({"type": 5}, "tools[0]")


def test_a_schema_nested_too_deeply_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(5_000):
        schema = {"not": schema}
    for check in (checked_schema, answer_schema):
        with pytest.raises(InvalidRequest, match="too deeply"):
            check(schema, "schema")
