"""Tools of callers, as every dialect declares them: checked once, here."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import InvalidRequest
from ..prompt import Tool
from .schemas import checked_schema

_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
MOST_TOOLS = 512


def tool_of(name: object, description: object, schema: object, where: str) -> Tool:
    """One declared tool.

    Raises:
        InvalidRequest: its name or its schema cannot be used, naming the field below `where`.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"{where}.name must be 1 to 128 letters, digits, '_' and '-'", param=f"{where}.name"
        )
    if not isinstance(description, str | None):
        raise InvalidRequest(f"{where}.description must be a text", param=f"{where}.description")
    schema = {"type": "object", "properties": {}} if schema is None else schema
    return Tool(name, description or "", checked_schema(schema, where))


def checked_tools(tools: Iterable[Tool], where: str = "tools") -> tuple[Tool, ...]:
    """All declared tools.

    Raises:
        InvalidRequest: too many, or two of one name.
    """
    checked = tuple(tools)
    names = [tool.name for tool in checked]
    if len(names) > MOST_TOOLS:
        raise InvalidRequest(f"at most {MOST_TOOLS} tools", param=where)
    for name in names:
        if names.count(name) > 1:
            raise InvalidRequest(f"two tools are named {name!r}", param=where)
    return checked
