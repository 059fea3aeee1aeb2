"""JSON Schemas of the types in the declarations, as components that the document refers to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

Schema: TypeAlias = dict[str, Any]


class _WithoutTitles(GenerateJsonSchema):
    """Titles made of the names of members say nothing that the names do not."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class Schemas:
    """The types of one dialect.

    Args:
        prefix: put before the name of each type: names are unique in a dialect only.
        taken: types that are read, from bodies and query parameters.
        given: types that are written.

    Attributes:
        components: the schemas of all types that are used, by their names in the document.
    """

    def __init__(self, prefix: str, taken: Iterable[Any], given: Iterable[Any]) -> None:
        inputs: list[tuple[int, JsonSchemaMode, TypeAdapter[Any]]] = [
            *((id(type_), "validation", TypeAdapter(type_)) for type_ in taken),
            *((id(type_), "serialization", TypeAdapter(type_)) for type_ in given),
        ]
        self._of, rest = TypeAdapter.json_schemas(
            inputs,
            ref_template=f"#/components/schemas/{prefix}{{model}}",
            schema_generator=_WithoutTitles,
        )
        self.components: dict[str, Schema] = {
            prefix + name: schema for name, schema in rest.get("$defs", {}).items()
        }

    def taken(self, type_: Any) -> Schema:
        """The schema of a type that is read, or a reference to it."""
        return dict(self._of[id(type_), "validation"])

    def given(self, type_: Any) -> Schema:
        """The schema of a type that is written, or a reference to it."""
        return dict(self._of[id(type_), "serialization"])

    def parameters(self, type_: Any) -> dict[str, Schema]:
        """The schemas of the members of a type that is read; it is no component any more."""
        name = str(self.taken(type_)["$ref"]).rpartition("/")[2]
        members: dict[str, Schema] = self.components.pop(name)["properties"]
        return members
