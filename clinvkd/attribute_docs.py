"""What stands under the fields of pydantic models, put into their JSON Schemas.

A string under a field is its description. pydantic can read these strings by itself, but does so
whenever a class is made, for every start of the daemon; here they are read when a schema is made.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel


def described(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Describe the properties of a model's schema; made to be its `json_schema_extra`."""
    texts = descriptions(model)
    properties = schema.get("properties", {})
    for name, field in model.model_fields.items():
        if name in texts and (shown := properties.get(field.alias or name)) is not None:
            shown.setdefault("description", texts[name])


@cache
def descriptions(model: type[BaseModel]) -> Mapping[str, str]:
    """The strings under the fields of a model and of those it is derived from, by field name."""
    found: dict[str, str | None] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, BaseModel) and each is not BaseModel:
            found |= _written(each.__module__).get(each.__qualname__, {})
    return {name: text for name, text in found.items() if text is not None}


@cache
def _written(module: str) -> Mapping[str, Mapping[str, str | None]]:
    """The fields of each top-level class of a module, each with the string under it or None."""
    return {
        node.name: _fields(node)
        for node in ast.parse(inspect.getsource(sys.modules[module])).body
        if isinstance(node, ast.ClassDef)
    }


def _fields(node: ast.ClassDef) -> Mapping[str, str | None]:
    found: dict[str, str | None] = {}
    for statement, following in zip(node.body, [*node.body[1:], None], strict=True):
        match statement, following:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = inspect.cleandoc(text)
            case ast.AnnAssign(target=ast.Name(id=name)), _:
                found[name] = None
    return found
