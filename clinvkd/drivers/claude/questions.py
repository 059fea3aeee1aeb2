"""Questions of Claude Code, answered at once: a turn never waits for a person."""

from __future__ import annotations

from collections.abc import Container, Iterator
from pathlib import Path

from ...events import Progress
from ...prompt import Permissions
from ..base import Json, Send
from .lines import control_answer, control_refusal
from .permissions import refusal
from .tools import ClientTools


def answers(
    request: Json,
    permissions: Permissions,
    folder: Path,
    tools: ClientTools,
    told: Container[str],
) -> Iterator[Send | Progress]:
    """The answer to a `control_request` of the agent, and what the caller is told of it.

    Args:
        request: the line as it came.
        permissions: what the agent may do.
        folder: where it works.
        tools: the caller's.
        told: ids of the calls of those tools that the caller was told of in this turn.
    """
    match request:
        case {
            "request_id": str(number),
            "request": {
                "subtype": "can_use_tool",
                "tool_name": str(tool),
                "input": dict(arguments),
            },
        }:
            reason = refusal(permissions, folder, tool, arguments)
            if reason is None:
                yield control_answer(number, {"behavior": "allow", "updatedInput": arguments})
            else:
                yield control_answer(number, {"behavior": "deny", "message": reason})
                yield Progress("permission_denied", reason)
        case {
            "request_id": str(number),
            "request": {
                "subtype": "hook_callback",
                "tool_use_id": str(call),
                "input": {"tool_name": str(tool)},
            },
        }:
            yield control_answer(number, tools.decide(tool, told=call in told))
        case {
            "request_id": str(number),
            "request": {"subtype": "mcp_message", "message": dict(message)},
        } if tools:
            yield control_answer(number, {"mcp_response": tools.serve(message)})
        case {"request_id": str(number)}:
            yield control_refusal(number, "clinvk does not serve this request")
