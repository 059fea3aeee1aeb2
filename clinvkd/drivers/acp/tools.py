"""The agent's own tools in ACP: what a call is, what it gave, and whether it may run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...prompt import Permissions
from ..base import Json

_READS = frozenset({"read", "search", "think", "fetch"})
_EDITS = frozenset({"edit", "move", "delete"})


def permission_outcome(question: Json, granted: bool) -> Json:
    """The answer to ``session/request_permission``, by the kind of its options, not their ids."""
    wanted = ("allow_once", "allow_always") if granted else ("reject_once", "reject_always")
    options = question.get("options") or []
    for kind in wanted:
        for option in options:
            if option.get("kind") == kind:
                return {"outcome": {"outcome": "selected", "optionId": option.get("optionId")}}
    return {"outcome": {"outcome": "cancelled"}}


def is_granted(call: Json, permissions: Permissions, name: str, workdir: Path) -> bool:
    """Whether a tool the agent asks about may run.

    Args:
        call: ``toolCall`` of the request.
        permissions: what this conversation may do.
        name: name of the tool.
        workdir: where the conversation works: the sandbox ``workspace`` ends there.
    """
    kind = call.get("kind")
    if not permissions.tools:
        return False
    if kind not in _READS:
        match permissions.sandbox:
            case "read-only":
                return False
            case "workspace" if not _inside(call, workdir):
                return False
    if name in permissions.allowed_tools:
        return True
    match permissions.approval:
        case "none":
            return True
        case "auto":
            return kind in _EDITS
        case _:
            return False


def _inside(call: Json, workdir: Path) -> bool:
    """Whether a call says where it writes, and only within `workdir`; commands never do."""
    places = [
        place.get("path")
        for place in [*(call.get("locations") or []), *(call.get("content") or [])]
        if isinstance(place, dict) and "path" in place
    ]
    return (
        call.get("kind") in _EDITS
        and bool(places)
        and all(
            isinstance(place, str)
            and ".." not in Path(place).parts
            and (workdir / place).is_relative_to(workdir)
            for place in places
        )
    )


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
