"""Tools in the Messages API: declared and chosen."""

from __future__ import annotations

from typing import Any

from ...errors import InvalidRequest
from ...prompt import Tool, ToolChoice
from ..tools import checked_tools, tool_of


def declared(tools: list[dict[str, Any]] | None) -> tuple[Tool, ...]:
    """The caller's tools.

    Raises:
        InvalidRequest: one that the server would have to run, or that cannot be used.
    """
    found = []
    for index, tool in enumerate(tools or ()):
        where = f"tools[{index}]"
        kind = tool.get("type")
        if kind not in (None, "custom"):
            raise InvalidRequest(
                f"tools of type {str(kind)[:40]!r} run on Anthropic's servers; there are none here",
                param=where,
            )
        found.append(
            tool_of(tool.get("name"), tool.get("description"), tool.get("input_schema"), where)
        )
    return checked_tools(found)


def chosen(choice: dict[str, Any] | None) -> ToolChoice:
    """What ``tool_choice`` says.

    Raises:
        InvalidRequest: it says nothing known.
    """
    parallel = not (choice or {}).get("disable_parallel_tool_use")
    match choice:
        case None | {"type": "auto"}:
            return ToolChoice("auto", parallel=parallel)
        case {"type": "none"}:
            return ToolChoice("none", parallel=parallel)
        case {"type": "any"}:
            return ToolChoice("required", parallel=parallel)
        case {"type": "tool", "name": str(name)}:
            return ToolChoice("named", name, parallel)
    raise InvalidRequest(
        "must be of type auto, any, tool (with a name) or none", param="tool_choice"
    )
