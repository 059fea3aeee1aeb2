"""What codex asks beside results of the caller's tools: whether it may act, mostly.

What may be done is settled by the thread's approval policy and sandbox. codex asks only for more
than they allow; what it asks is refused, or decided by the caller where the prompt says so.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from ...events import Action
from ...prompt import Permissions
from ..actions import summary_of
from ..base import AskApproval, Json, Send, WithdrawApproval
from ..jsonrpc import METHOD_NOT_FOUND, Peer
from .turn import Called

Steps: TypeAlias = Iterator[Send | AskApproval | WithdrawApproval]

_OPTIONS = ("accept", "decline")


class _Method(enum.StrEnum):
    COMMAND = "item/commandExecution/requestApproval"
    CHANGE = "item/fileChange/requestApproval"
    RIGHTS = "item/permissions/requestApproval"
    ELICITATION = "mcpServer/elicitation/request"
    INPUT = "item/tool/requestUserInput"


class Questions:
    """The questions of one thread; true as long as one waits for the caller.

    Args:
        peer: answers codex.
        permissions: what the agent may do.
        folder: where it works.

    Attributes:
        asks: whether the caller is asked at all.
    """

    def __init__(self, peer: Peer[Any], permissions: Permissions, folder: Path) -> None:
        self.asks = permissions.asks
        self._peer = peer
        self._permissions = permissions
        self._folder = folder
        self._open: dict[str, Json] = {}

    def __bool__(self) -> bool:
        return bool(self._open)

    def asked(self, request: Json, called: Called | None, *, interrupted: bool) -> Steps:
        """Answer a question, or have the caller asked.

        Args:
            request: as it came.
            called: the call it belongs to, as far as codex told of it.
            interrupted: the caller is asked nothing more.
        """
        if interrupted or not self._relays(request, called):
            yield self.refusal(request)
            return
        self._open[str(request["id"])] = request
        yield AskApproval(str(request["id"]), _action(request, called))

    def decided(self, decision: Json) -> Iterable[Send]:
        """The caller, or the limit of time, decided; codex has no place for a message."""
        request = self._open.pop(decision["question"], None)
        if request is not None:
            yield self._grant(request) if decision["allowed"] else self.refusal(request)

    def resolved(self, notice: Json) -> Steps:
        """The agent waits for no answer any more; it tells that of those it got, too."""
        if self._open.pop(str(notice.get("requestId")), None) is not None:
            yield WithdrawApproval(str(notice["requestId"]))

    def forget(self) -> None:
        """The turn is over, and with it whatever was asked in it."""
        self._open.clear()

    def refusal(self, request: Json) -> Send:
        """The answer that never says yes."""
        match request["method"]:
            case _Method.COMMAND | _Method.CHANGE:
                return self._peer.answer(request, {"decision": "decline"})
            case _Method.ELICITATION:
                return self._peer.answer(request, {"action": "decline", "content": None})
            case _Method.RIGHTS:
                return self._peer.answer(request, {"permissions": {}, "scope": "turn"})
            case _Method.INPUT:
                return self._peer.answer(request, {"answers": {}})
            case method:
                return self._peer.refuse(request, METHOD_NOT_FOUND, f"{method} is not offered")

    def _grant(self, request: Json) -> Send:
        """The answer that says yes, for this one time."""
        match request:
            case {"method": _Method.ELICITATION}:
                return self._peer.answer(request, {"action": "accept", "content": {}})
            case {"method": _Method.RIGHTS, "params": {"permissions": dict(wanted)}}:
                return self._peer.answer(request, {"permissions": wanted, "scope": "turn"})
            case _:
                return self._peer.answer(request, {"decision": "accept"})

    def _relays(self, request: Json, called: Called | None) -> bool:
        """Whether the caller is to be asked. What the sandbox forbids is not.

        An action that is allowed may run outside of the sandbox. So in ``read-only`` there is none
        to allow; in ``workspace`` there are changes of files below the folder, and commands and
        tool servers, which nothing confines but the caller's own eyes.
        """
        sandbox = self._permissions.sandbox
        if not self.asks or sandbox == "read-only":
            return False
        match request:
            case {"method": _Method.COMMAND}:
                return True
            case {"method": _Method.CHANGE, "params": dict(question)}:
                return sandbox != "workspace" or self._stays_below(question, called)
            case {"method": _Method.RIGHTS}:
                return sandbox != "workspace"
            case {
                "method": _Method.ELICITATION,
                # The others want a form filled in, which no permission can do.
                "params": {"_meta": {"codex_approval_kind": "mcp_tool_call"}},
            }:
                return True
        return False

    def _stays_below(self, question: Json, called: Called | None) -> bool:
        """Whether codex told which files it wants to change, all below the folder."""
        match question, called:
            case {"grantRoot": str()}, _:
                return False
            case _, (_, {"changes": [*changes]}) if changes:
                return all(self._is_below(place) for change in changes for place in _places(change))
        return False

    def _is_below(self, place: object) -> bool:
        return (
            isinstance(place, str)
            and ".." not in Path(place).parts
            and (self._folder / place).is_relative_to(self._folder)
        )


def _places(change: Json) -> Iterator[object]:
    yield change.get("path")
    match change:
        case {"kind": {"move_path": str(target)}}:
            yield target


def _action(request: Json, called: Called | None) -> Action:
    question: Json = request["params"]
    tool, given = called or _described(request["method"], question)
    reason = question.get("reason") or question.get("message")
    match question:
        case {"availableDecisions": [*decisions]}:
            options = tuple(name for one in decisions for name in _names(one))
        case _:
            options = _OPTIONS
    call = question.get("itemId")
    return Action(
        tool=tool,
        input=given,
        summary=summary_of(tool, given, reason),
        options=options,
        call=call if isinstance(call, str) else None,
    )


def _described(method: str, question: Json) -> Called:
    """Tool and input as the question itself tells them."""
    match method, question:
        case _, {"networkApprovalContext": dict(context)}:
            return "network_access", context
        case _Method.COMMAND, _:
            return "command_execution", {name: question.get(name) for name in ("command", "cwd")}
        case _Method.RIGHTS, _:
            return "request_permissions", question.get("permissions")
        case _Method.ELICITATION, {"_meta": dict(about)}:
            name = f"mcp__{question.get('serverName')}__{about.get('tool_name')}"
            return name, about.get("tool_params")
        case _:
            return "file_change", None


def _names(decision: object) -> Iterator[str]:
    match decision:
        case str(name):
            yield name
        case dict():
            yield from map(str, decision)
