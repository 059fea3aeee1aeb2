"""The caller's tools in Claude Code: an MCP server in name only, and a hook that puts calls off.

The CLI is told of an MCP server whose messages come over the same pipe, and asks a hook of ours
before each call. The hook answers ``defer``: the turn ends with the calls, and the results come as
`tool_result` blocks of the next user message, whenever that is.

In a chat the CLI learns nothing but the names, and the definitions go into the provider's request
as the caller wrote them: the CLI itself would sort them, cut descriptions, rewrite some schemas and
drop others. Among the agent's own tools that cannot be; there the CLI gets the definitions, and the
names get its prefix. Measured with 2.1.197 and 2.1.330.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ...errors import BackendRefused
from ...prompt import Prompt, Tool
from ..base import Json
from .output import TOOL, definition

CHOICES: Final = frozenset({"none", "required", "named", "parallel"})
"""All that can be asked of the model about tools."""

_SERVER: Final = "clinvk"
_PREFIX: Final = f"mcp__{_SERVER}__"
_NO_RESULT: Final = "no result was given"
_METHOD_NOT_FOUND: Final = -32601


class ClientTools:
    """The caller's tools in one conversation, and the calls that wait for their results.

    Args:
        tools: as the caller defined them.
        among_own: the agent's own tools are on too.
    """

    def __init__(self, tools: tuple[Tool, ...] = (), *, among_own: bool = False) -> None:
        self._tools = tools
        self._among_own = among_own
        self._prefix = _PREFIX if among_own else ""
        self._names = {self.agents_name(tool.name): tool.name for tool in tools}
        self._waiting: tuple[str, ...] = ()

    @classmethod
    def of(cls, prompt: Prompt) -> ClientTools:
        """Those of a prompt.

        Raises:
            BackendRefused: a tool has the name that a structured answer takes.
        """
        tools = cls(prompt.tools, among_own=prompt.permissions.tools)
        if prompt.output is not None and TOOL in tools._names:
            raise BackendRefused(f"claude keeps the name {TOOL} for itself", param="tools")
        return tools

    def __bool__(self) -> bool:
        return bool(self._tools)

    def agents_name(self, name: str) -> str:
        """What the CLI calls the caller's tool `name`."""
        return self._prefix + name

    def callers_name(self, name: str) -> str | None:
        """What the caller calls the CLI's tool `name`; None when it is not the caller's."""
        return self._names.get(name)

    # What the CLI is told and asks.

    def binding(self) -> Json:
        """What `initialize` has to say of them."""
        if not self._tools:
            return {}
        hook = {"matcher": f"{self._prefix}.*", "hookCallbackIds": [_SERVER]}
        return {"sdkMcpServers": [_SERVER], "hooks": {"PreToolUse": [hook]}}

    def settings(self) -> Json:
        """Settings that keep the CLI from adding to the prompt, as it does for tools of its own."""
        # With a tool called "Bash" it explains how to sign commits.
        return {"includeCoAuthoredBy": False} if self._tools and not self._among_own else {}

    def serve(self, message: Json) -> Json:
        """Answer a message of the CLI to the MCP server."""
        answer: Json = {"jsonrpc": "2.0"}
        if "id" in message:
            answer["id"] = message["id"]
        match message:
            case {"method": "initialize", "params": {"protocolVersion": version}}:
                server = {"name": _SERVER, "version": "1"}
                capabilities: Json = {"tools": {}}
                answer["result"] = {
                    "protocolVersion": version,
                    "capabilities": capabilities,
                    "serverInfo": server,
                }
            case {"method": "tools/list"}:
                answer["result"] = {"tools": [self._listed(tool) for tool in self._tools]}
            case {"method": str(method), "id": _}:
                text = f"{method} is not served: the caller runs its tools"
                answer["error"] = {"code": _METHOD_NOT_FOUND, "message": text}
            case _:
                answer["result"] = {}
        return answer

    def decide(self, name: str, *, told: bool) -> Json:
        """Answer the hook that asks before each call.

        Args:
            name: the CLI's name of the tool.
            told: whether the caller was told of the call.
        """
        decision: Json = {"hookEventName": "PreToolUse"}
        if told:
            decision["permissionDecision"] = "defer"
        elif name in self._names:
            decision["permissionDecision"] = "deny"
            decision["permissionDecisionReason"] = "a subagent cannot call the caller's tools"
        else:
            return {}
        return {"hookSpecificOutput": decision}

    def refuse_unless_offered(self, offered: object) -> None:
        """Raise BackendRefused when the CLI dropped one, as it does when a schema displeases it."""
        if not self._among_own:
            return
        known = offered if isinstance(offered, list) else []
        if dropped := [name for agents, name in self._names.items() if agents not in known]:
            raise BackendRefused(
                f"claude does not take the definitions of these tools: {', '.join(dropped)}",
                param="tools",
            )

    def _listed(self, tool: Tool) -> Json:
        if not self._among_own:
            return {"name": tool.name, "inputSchema": {"type": "object"}}
        return {
            "name": tool.name,
            "description": tool.description,
            "inputSchema": _of_an_object(tool.schema),
            # Else newer versions hide it until the model searches for it.
            "_meta": {"anthropic/alwaysLoad": True},
        }

    # What goes into the context.

    def called(self, content: list[Json]) -> list[Json]:
        """The blocks of an earlier answer as the CLI has to see them."""
        self.wait_for(block["id"] for block in content if block["type"] == "tool_use")
        return [
            {**block, "name": self.agents_name(block["name"])}
            if block["type"] == "tool_use" and self.agents_name(block["name"]) in self._names
            else block
            for block in content
        ]

    def wait_for(self, calls: Iterable[str]) -> None:
        """The next user message has to bring the results of these calls, given by their ids."""
        self._waiting = tuple(calls)

    def answered(self, content: list[Json]) -> list[Json]:
        """The blocks of a user message: a result for each call that waits, and before all else."""
        results = [block for block in content if block["type"] == "tool_result"]
        others = [block for block in content if block["type"] != "tool_result"]
        given = {result["tool_use_id"] for result in results}
        missing = [_no_result(call) for call in self._waiting if call not in given]
        self._waiting = ()
        return [*results, *missing, *others]


def choices(prompt: Prompt) -> frozenset[str]:
    """What of `CHOICES` holds for a prompt: the provider does not know whose a tool is."""
    if prompt.permissions.tools:
        return CHOICES - {"none", "required"}
    if prompt.output is not None:
        return CHOICES - {"required"}
    return CHOICES


def body_members(prompt: Prompt) -> Json:
    """What the bodies of the provider's requests have to hold for the caller's tools."""
    if not prompt.tools:
        return {}
    members: Json = {}
    if not prompt.permissions.tools:
        members["tools"] = _definitions(prompt)
    if (choice := _choice(prompt)) is not None:
        members["tool_choice"] = choice
    return members


def _definitions(prompt: Prompt) -> list[Json]:
    definitions = [
        {
            "name": tool.name,
            **({"description": tool.description} if tool.description else {}),
            "input_schema": _of_an_object(tool.schema),
        }
        for tool in prompt.tools
    ]
    if prompt.output is None:
        return definitions
    # "none" would forbid the tool that gives the answer too.
    offered = [] if prompt.tool_choice.mode == "none" else definitions
    return [*offered, definition(prompt.output)]


def _choice(prompt: Prompt) -> Json | None:
    choice = prompt.tool_choice
    told: Json
    match choice.mode:
        case "named":
            among_own = prompt.permissions.tools
            name = ClientTools(among_own=among_own).agents_name(choice.name)
            told = {"type": "tool", "name": name}
        case "required" if "required" in choices(prompt):
            told = {"type": "any"}
        case "none" if prompt.output is None and "none" in choices(prompt):
            return {"type": "none"}
        case _ if choice.parallel:
            return None
        case _:
            told = {"type": "auto"}
    return told if choice.parallel else {**told, "disable_parallel_tool_use": True}


def _of_an_object(schema: Json) -> Json:
    return schema if "type" in schema else {"type": "object", **schema}


def _no_result(call: str) -> Json:
    return {"type": "tool_result", "tool_use_id": call, "content": _NO_RESULT, "is_error": True}
