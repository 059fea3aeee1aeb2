"""The schemas of the caller's tools in a form that reaches the model through codex.

codex passes on a part of JSON Schema and loses the rest in silence (measured with 0.169): limits
such as ``minLength`` and ``pattern``, ``format``, ``default``, ``title``, ``if``, ``not``, tuples.
Where a type is missing it makes one up, so that ``const: 5`` and ``true`` become strings, and from
a large schema it takes first the descriptions, then the definitions, then whatever lies deep.

So each schema is written in codex's part beforehand, without changing what it accepts, and what has
no place there is said, as JSON, in the nearest description. A schema too large for that is left to
codex, and stands complete in the description of the tool, which codex passes on whatever its size.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote

from pydantic_core import to_json

from ...errors import BackendRefused
from ...prompt import Tool
from ..base import Json

_BUDGET: Final = 4_000
"""Bytes up to which a schema is passed on whole: 5,000 in 0.169, 4,000 in versions before it."""

_ALSO: Final = "More of its JSON Schema: "
_WHOLE: Final = "The arguments must match this JSON Schema: "

_EVERY_TYPE: Final = ("string", "number", "boolean", "object", "array", "null")
_TYPES: Final = frozenset({*_EVERY_TYPE, "integer"})

_IMPLIED: Final[Mapping[str, str]] = {
    keyword: kind
    for kind, keywords in {
        "object": ("properties", "required", "additionalProperties", "patternProperties"),
        "array": ("items", "prefixItems", "minItems", "maxItems"),
        "string": ("minLength", "maxLength", "pattern", "format"),
        "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    }.items()
    for keyword in keywords
}
"""Keywords whose author means this type, also where the schema does not say so."""

_COMBINED: Final = ("anyOf", "oneOf", "allOf", "$ref")
"""Keywords beside which codex makes up no type."""

_EXCEPTIONS: Final[Mapping[str, str]] = {
    "items": "prefixItems",
    "additionalProperties": "patternProperties",
}
"""Keywords that would forbid too much without the other, which codex does not pass on."""

_REFERENCE: Final = re.compile(r'"\$(?:ref|dynamicRef)":')

_NOT_FOR_MODELS: Final = frozenset({"$schema", "$comment"})


def native_schema(tool: Tool) -> tuple[Json, str]:
    """What codex is given for the arguments of `tool`, and what its description has to add.

    Args:
        tool: its schema is a valid one (draft 2020-12).

    Raises:
        BackendRefused: the arguments are to be something else than an object.
    """
    named = tool.schema.get("type", "object")
    if "object" not in ([named] if isinstance(named, str) else named):
        raise BackendRefused(
            f"the tool {tool.name!r} must take an object, not {named!r}", param="tools"
        )
    schema = {**tool.schema, "type": "object"}
    rewriting = _Rewriting(says_rest=True)
    native = rewriting.of(schema, tool.name)
    if len(to_json(native)) <= _BUDGET and rewriting.keeps_references(native):
        return native, ""
    return _Rewriting(says_rest=False).of(schema, tool.name), _WHOLE + to_json(schema).decode()


class _Rewriting:
    """Writes one schema, with all that are in it, in codex's part of JSON Schema.

    Args:
        says_rest: what codex would lose goes into descriptions; else it is left out.
    """

    def __init__(self, *, says_rest: bool) -> None:
        self._says_rest = says_rest
        self._references: set[str] = set()
        self._refers_in_rest = False

    def of(self, schema: Any, name: str = "") -> Json:
        """A schema that accepts what `schema` does, as far as codex's keywords can tell.

        Args:
            schema: an object, or true or false.
            name: of the property or the definition it belongs to; a title that only repeats it
                is no loss.
        """
        if not isinstance(schema, dict):
            schema = {} if schema else {"not": {}}
        kept: Json = {}
        rest: Json = {}
        for keyword, value in schema.items():
            if keyword in _NOT_FOR_MODELS or (keyword == "title" and _alike(value, name)):
                continue
            apart = _EXCEPTIONS.get(keyword) in schema
            native = None if apart else self._native(keyword, value)
            if native is None:
                rest[keyword] = value
            else:
                kept[keyword] = native
        if "const" in rest and "enum" not in kept:
            kept["enum"] = [rest.pop("const")]
        _complete(kept, rest)
        if rest and self._says_rest:
            told = to_json(rest).decode()
            self._refers_in_rest |= _REFERENCE.search(told) is not None
            kept["description"] = "\n".join(
                [*filter(None, [kept.get("description")]), _ALSO + told]
            )
        return kept

    def keeps_references(self, root: Json) -> bool:
        """Whether all references still lead somewhere: codex drops definitions it sees no use of.

        Args:
            root: what became of the whole schema.
        """
        return not self._refers_in_rest and all(
            _leads_somewhere(reference, root) for reference in self._references
        )

    def _native(self, keyword: str, value: Any) -> Any | None:
        """The value of a keyword in codex, or None when codex does not take it."""
        match keyword, value:
            case "$ref", str():
                self._references.add(value)
                return value
            case "description", str():
                return value
            case "type", str() if value in _TYPES:
                return value
            case "type", [_, *_] if _TYPES.issuperset(value):
                return value[0] if len(value) == 1 else value
            case "enum", [_, *_]:
                return value
            case "required", [*names] if all(isinstance(name, str) for name in names):
                return value
            case "minItems", int() | float():
                return int(value)
            case "additionalProperties", bool():
                return value
            case "additionalProperties" | "items", dict() | True:
                return self.of(value)
            case "anyOf" | "oneOf" | "allOf", [_, *_]:
                return [self.of(schema) for schema in value]
            case "properties" | "$defs" | "definitions", dict():
                return {name: self.of(schema, name) for name, schema in value.items()}
        return None


def _complete(kept: Json, rest: Json) -> None:
    """Give the schema `kept` the types and members codex would else make up, and make up wrong."""
    if "type" not in kept and not any(keyword in kept for keyword in _COMBINED):
        if "enum" in kept:
            types = _distinct(_type_of(value) for value in kept["enum"])
        else:
            types = _distinct(_IMPLIED[key] for key in (*kept, *rest) if key in _IMPLIED)
        if kept or rest:
            types = types or list(_EVERY_TYPE)
            kept["type"] = types[0] if len(types) == 1 else types
    types = kept.get("type", ())
    if "object" in types:
        kept.setdefault("properties", {})
    if "array" in types:
        kept.setdefault("items", {})


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _type_of(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _alike(title: object, name: str) -> bool:
    """Whether a title only repeats a name, as generated ones do: "User Id" of ``user_id``."""
    letters = (filter(str.isalnum, text.casefold()) for text in (str(title), name))
    return len({"".join(text) for text in letters}) == 1


def _leads_somewhere(reference: str, root: Json) -> bool:
    """Whether a reference is a JSON pointer (RFC 6901) into `root`."""
    if reference != "#" and not reference.startswith("#/"):
        return False
    found: Any = root
    for step in unquote(reference[1:]).split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        match found:
            case dict() if key in found:
                found = found[key]
            case [*members] if key.isdecimal() and int(key) < len(members):
                found = members[int(key)]
            case _:
                return False
    return True
