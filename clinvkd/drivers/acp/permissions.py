"""Permission requests of ACP agents: whether a tool may run, who decides, and the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeAlias

from ...events import Action
from ...prompt import Permissions
from ..actions import summary_of
from ..base import Json
from .tools import tool_input

Verdict: TypeAlias = Literal["allow", "deny", "ask"]

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


def verdict_of(call: Json, permissions: Permissions, name: str, workdir: Path) -> Verdict:
    """Whether a tool the agent asks about may run, or whether the caller is to be asked.

    What the sandbox forbids is not asked. In the sandbox ``workspace`` that is every command,
    since nothing confines it, unless the caller sees it before.

    Args:
        call: ``toolCall`` of the request.
        permissions: what this conversation may do.
        name: name of the tool.
        workdir: where the conversation works: the sandbox ``workspace`` ends there.
    """
    kind = call.get("kind")
    if not permissions.tools:
        return "deny"
    if kind not in _READS:
        match permissions.sandbox:
            case "read-only":
                return "deny"
            case "workspace" if kind in _EDITS or not permissions.asks:
                if not _inside(call, workdir):
                    return "deny"
    if name in permissions.allowed_tools:
        return "allow"
    match permissions.approval:
        case "none":
            return "allow"
        case "auto":
            return "allow" if kind in _EDITS else "deny"
        case "ask":
            return "ask"
        case _:
            return "deny"


def action_of(question: Json, name: str) -> Action:
    """What the agent asks about, for the person who decides.

    Args:
        question: ``params`` of the request.
        name: name of the tool.
    """
    call: Json = question.get("toolCall") or {}
    given: Any = tool_input({**call, "status": "asked"}, name)
    parts = [part for part in call.get("content") or [] if isinstance(part, dict)]
    changes = [_change(part) for part in parts if part.get("type") == "diff"]
    notes = [
        text
        for part in parts
        if isinstance(text := (part.get("content") or {}).get("text"), str) and text
    ]
    summary = summary_of(name, given, " ".join(notes) or None)
    if changes:
        given = {**(given if isinstance(given, dict) else {}), "changes": changes}
    options = (option.get("name") for option in question.get("options") or [])
    return Action(
        tool=name,
        input=given,
        summary=summary,
        options=tuple(str(option) for option in options if option),
        call=str(call.get("toolCallId") or "") or None,
    )


def _change(diff: Json) -> Json:
    names = (("path", "path"), ("old_text", "oldText"), ("new_text", "newText"))
    return {ours: diff[theirs] for ours, theirs in names if diff.get(theirs) is not None}


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
