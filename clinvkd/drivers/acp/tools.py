"""The agent's own tools in ACP: what a call is, and what it gave."""

from __future__ import annotations

from dataclasses import dataclass

from ..base import Json


@dataclass(slots=True)
class RunningTool:
    """A tool call as far as the agent has told it.

    Attributes:
        told: the caller knows of the call.
        ended: the caller knows its result.
    """

    name: str
    input: object = None
    told: bool = False
    ended: bool = False


def tool_name(call: Json, name_in_id: bool) -> str:
    """The best name of a tool: told apart, part of the id, the title, or its kind."""
    identifier = str(call.get("toolCallId") or "")
    match call:
        case {"_meta": {"toolName": str(name)}}:
            return name
        case _ if name_in_id and "__" in identifier:
            return identifier.rpartition("__")[0]
        case {"title": str(name)} if name:
            return name
        case _:
            return str(call.get("kind") or "tool")


def tool_input(call: Json, name: str) -> object:
    """What the tool `name` is called with; gemini tells only a title."""
    match call:
        case {"rawInput": value} if value not in (None, {}, ""):
            return value
        case {"status": "pending"}:
            return None
        case {"title": str(title)} if title != name:
            return {"title": title}
        case _:
            return None


def tool_output(call: Json) -> str:
    """What the tool gave, as text."""
    texts = []
    for part in call.get("content") or []:
        match part:
            case {"type": "content", "content": {"type": "text", "text": str(text)}}:
                texts.append(text)
            case {"type": "diff", "path": str(path)}:
                texts.append(f"changed {path}")
    if texts:
        return "\n".join(texts)
    match call.get("rawOutput"):
        case str(text) | {"output": str(text)} | {"error": str(text)}:
            return text
        case _:
            return ""
