"""Questions of Claude Code: answered at once, or by the caller where the prompt says so."""

from __future__ import annotations

from collections.abc import Container, Iterator
from pathlib import Path
from typing import TypeAlias

from ...events import Action, Progress
from ...prompt import Permissions
from ..actions import summary_of
from ..base import AskApproval, Json, Send, WithdrawApproval
from .lines import control_answer, control_refusal
from .permissions import refusal
from .tools import ClientTools

Steps: TypeAlias = Iterator[Send | AskApproval | WithdrawApproval | Progress]

OPTIONS = ("allow", "deny")
"""What a host may answer; the CLI itself would also offer to add rules."""


class Questions:
    """The questions of one conversation.

    Args:
        permissions: what the agent may do.
        folder: where it works.
        tools: the caller's.
    """

    def __init__(self, permissions: Permissions, folder: Path, tools: ClientTools) -> None:
        self._permissions = permissions
        self._folder = folder
        self._tools = tools
        self._open: dict[str, Json] = {}

    def asked(self, request: Json, told: Container[str] = (), *, relay: bool = False) -> Steps:
        """What to do about a `control_request` of the agent.

        Args:
            request: the line as it came.
            told: ids of the calls of the caller's tools that it was told of in this turn.
            relay: the caller is there and can be asked.
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
                details = request["request"]
                yield from self._permission(number, tool, arguments, details, relay=relay)
            case {
                "request_id": str(number),
                "request": {
                    "subtype": "hook_callback",
                    "tool_use_id": str(call),
                    "input": {"tool_name": str(tool)},
                },
            }:
                yield control_answer(number, self._tools.decide(tool, told=call in told))
            case {
                "request_id": str(number),
                "request": {"subtype": "mcp_message", "message": dict(message)},
            } if self._tools:
                yield control_answer(number, {"mcp_response": self._tools.serve(message)})
            case {"request_id": str(number)}:
                yield control_refusal(number, "clinvk does not serve this request")

    def decided(self, decision: Json) -> Steps:
        """The caller, or the limit of time, decided a question that was relayed."""
        match decision:
            case {"question": str(number), "allowed": bool(allowed), "message": str(message)} if (
                number in self._open
            ):
                arguments = self._open.pop(number)
                yield _allowed(number, arguments) if allowed else _denied(number, message)

    def withdrawn(self, number: str) -> Steps:
        """The agent does not wait for an answer any more."""
        if self._open.pop(number, None) is not None:
            yield WithdrawApproval(number)

    def _permission(
        self, number: str, tool: str, arguments: Json, details: Json, *, relay: bool
    ) -> Steps:
        reason = refusal(self._permissions, self._folder, tool, arguments)
        if reason is None and self._permissions.asks:
            if relay:
                self._open[number] = arguments
                yield AskApproval(number, _action(tool, arguments, details))
                return
            reason = f"{tool} is not allowed: nobody can be asked now"
        if reason is None:
            yield _allowed(number, arguments)
        else:
            yield _denied(number, reason)
            yield Progress("permission_denied", reason)


def _action(tool: str, arguments: Json, details: Json) -> Action:
    reason, call = details.get("decision_reason"), details.get("tool_use_id")
    return Action(
        tool=tool,
        input=arguments,
        summary=summary_of(tool, arguments, reason if isinstance(reason, str) else None),
        options=OPTIONS,
        call=call if isinstance(call, str) else None,
    )


def _allowed(number: str, arguments: Json) -> Send:
    return control_answer(number, {"behavior": "allow", "updatedInput": arguments})


def _denied(number: str, message: str) -> Send:
    return control_answer(number, {"behavior": "deny", "message": message})
