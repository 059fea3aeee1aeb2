"""Functions in chat completions: declared, chosen, and called."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from ...errors import InvalidRequest
from ...prompt import Tool, ToolChoice, ToolUse
from ..tools import checked_tools, tool_of

Choice = str | dict[str, Any] | None


def declared(
    tools: list[dict[str, Any]] | None, functions: list[dict[str, Any]] | None
) -> tuple[Tool, ...]:
    """The tools of a chat, or its functions in the legacy form.

    Raises:
        InvalidRequest: naming the one that cannot be used.
    """
    found = []
    for index, tool in enumerate(tools or ()):
        where = f"tools[{index}]"
        if tool.get("type") != "function" or not isinstance(tool.get("function"), dict):
            raise InvalidRequest(f"{where}: only tools of type function are supported", param=where)
        found.append(_function(tool["function"], f"{where}.function"))
    for index, function in enumerate(functions or ()):
        found.append(_function(function, f"functions[{index}]"))
    return checked_tools(found)


def chosen(choice: Choice, *, legacy: Choice = None, parallel: bool | None = None) -> ToolChoice:
    """What ``tool_choice`` (or ``function_call``) says.

    Raises:
        InvalidRequest: it says nothing known.
    """
    several = parallel is not False
    match choice if choice is not None else legacy:
        case None | "auto":
            return ToolChoice("auto", parallel=several)
        case "none":
            return ToolChoice("none", parallel=several)
        case "required":
            return ToolChoice("required", parallel=several)
        case {"type": "function", "function": {"name": str(name)}}:
            return ToolChoice("named", name, several)
        case {"type": "function", "name": str(name)} | {"name": str(name)}:
            return ToolChoice("named", name, several)
        case {"type": "allowed_tools", "mode": "required"} | {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "required"},
        }:
            return ToolChoice("required", parallel=several)
        case {"type": "allowed_tools"}:
            return ToolChoice("auto", parallel=several)
    raise InvalidRequest(
        "tool_choice must be none, auto, required, or name a function", param="tool_choice"
    )


def call_object(call: ToolUse) -> dict[str, Any]:
    """A call in a whole message."""
    arguments = to_json(call.input).decode()
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _function(function: dict[str, Any], where: str) -> Tool:
    return tool_of(
        function.get("name"), function.get("description"), function.get("parameters"), where
    )
