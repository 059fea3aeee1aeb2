"""Answers to the permission questions of Claude Code (`can_use_tool`).

The CLI asks only about what its own rules and permission mode do not settle: it lets commands that
only read run by itself, and with `acceptEdits` edits below its folder too.
"""

from __future__ import annotations

import os.path
from pathlib import Path
from typing import Any, Final

from ...prompt import Permissions

EDITING: Final = frozenset({"Edit", "NotebookEdit", "Write"})
"""Tools that write exactly the file they name."""

READING: Final = frozenset({"Glob", "Grep", "Read", "WebFetch", "WebSearch"})
"""Tools that change nothing on this machine."""


def refusal(
    permissions: Permissions, folder: Path, tool: str, arguments: dict[str, Any]
) -> str | None:
    """Why the agent may not use `tool` now, in words for the model; None when it may.

    With the approval ``ask`` None means that the caller may allow it.

    Args:
        permissions: what the caller and the configuration grant.
        folder: the agent's working directory.
        tool: its name of the tool.
        arguments: what it wants to call it with.
    """
    edits = tool in EDITING
    match permissions.approval, permissions.sandbox:
        case _, "read-only" if tool not in READING:
            return f"{tool} is not allowed: nothing may be written here"
        case "none" | "ask", "workspace" if edits and not _writes_below(folder, arguments):
            return f"{tool} is not allowed outside {folder}"
        case "none", "workspace" if not edits and tool not in READING:
            # Nothing confines a shell command to the folder, so none may run unseen.
            return f"{tool} is not allowed: it could write outside {folder}"
        case "none" | "ask", _:
            return None
        case "auto", "full" if edits:
            return None
        case "auto", _ if edits and _writes_below(folder, arguments):
            return None
    return f"{tool} is not allowed: it needs an approval, and nobody can be asked"


def _writes_below(folder: Path, arguments: dict[str, Any]) -> bool:
    target = arguments.get("file_path", arguments.get("notebook_path"))
    if not isinstance(target, str):
        return False
    # Links are followed: one inside the folder may lead out of it.
    real = Path(os.path.realpath(folder / target))
    return real.is_relative_to(os.path.realpath(folder))
