"""The caller's tools in one conversation with an ACP agent, as its MCP client shows them.

Agents call through MCP under the names we gave, but talk of the tools in other ways: gemini as
``mcp_clinvk_NAME``, opencode as ``clinvk_NAME``, qwen as ``mcp__clinvk__NAME``. A call comes twice:
announced by a ``tool_call`` update between the pieces of the answer, and made at the MCP server.
Only the first tells where in the answer the call stands, since the second takes another way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from pydantic_core import to_json

from ...errors import BackendRefused
from ...events import Event, Request, RequestArguments, RequestStarted
from ...prompt import Image, Message, Prompt, Text, Tool, ToolResult, ToolUse
from ..base import Json
from ..decoding import decoded

SERVER: Final = "clinvk"
"""Name of our MCP server; agents make it part of the names of its tools."""

_LONGEST_NAME: Final = 48
"""With an agent's prefix a name must stay within 63 characters, or the agent shortens it."""

_SHOWN: Final = (
    "mcp_{server}_{name}",
    "{server}_{name}",
    "mcp__{server}__{name}",
    "{server}__{name}",
    "{name} ({server} MCP Server)",
    "{server}/{name}",
    "{server}.{name}",
    "{server}: {name}",
)
"""How agents are known to show the tool of an MCP server."""

_GEMINI_PARAMETER: Final = "wait_for_previous"
"""An optional flag gemini adds to every schema; what the model gives for it is passed on."""

CALL_TIMEOUT_MSEC: Final = 2**31 - 1
"""The longest wait for a result that a timer of JavaScript can be set to: 24 days."""

GO_ON: Final = "Go on with the results of the tools."
"""New message of a conversation that is opened again for the results of calls alone."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of one of the caller's tools.

    Attributes:
        id: ours; the agent does not tell the model's.
        name: the caller's name of the tool.
    """

    id: str
    name: str
    input: Json


@dataclass(slots=True)
class _Announced:
    """A call the agent has told of; `made` once it came to the MCP server."""

    name: str
    made: bool = False
    ended: bool = False


@dataclass(slots=True)
class _Made:
    """A call that came to the MCP server; `told` once the caller knows of it."""

    call: Call
    announced: bool
    told: bool = False


@dataclass(slots=True)
class ClientTools:
    """The tools, and the calls of them that wait.

    Attributes:
        tools: as the caller gave them.
        announces: the agent tells of every call by an update.
        in_series: it makes the calls of one answer one after the other, each when it has the
            result of the one before.
        parses: it reads a result that is JSON, and takes nothing but an object for one.
    """

    tools: tuple[Tool, ...] = ()
    announces: bool = False
    in_series: bool = False
    parses: bool = False
    _aliases: dict[str, Tool] = field(init=False)
    _shown: dict[str, str] = field(init=False)
    _announced: dict[str, _Announced] = field(init=False, default_factory=dict)
    _made: dict[str, _Made] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._aliases = {alias(tool.name): tool for tool in self.tools}
        self._shown = {
            shown.format(server=SERVER, name=name): name
            for name in self._aliases
            for shown in _SHOWN
        }

    @property
    def definitions(self) -> tuple[Json, ...]:
        """The tools as MCP has them.

        Raises:
            BackendRefused: a tool takes something else than an object.
        """
        return tuple(
            {"name": name, "description": tool.description, "inputSchema": _schema(tool)}
            for name, tool in self._aliases.items()
        )

    @property
    def waiting(self) -> bool:
        """Whether the agent waits for the result of a call the caller knows of."""
        return any(made.told for made in self._made.values())

    def announced(self, update: Json) -> bool:
        """Note what an update or a permission request says of a call; False if of another tool."""
        identifier = str(update.get("toolCallId") or "")
        call = self._announced.get(identifier)
        if call is None:
            name = self._name(update, identifier)
            if name is None:
                return False
            call = self._announced[identifier] = _Announced(name)
            for made in self._made.values():
                if not made.announced and alias(made.call.name) == name:
                    made.announced = call.made = True
                    break
        call.ended = call.ended or update.get("status") in ("completed", "failed")
        return True

    def called(self, params: Json) -> None:
        """Note a call that came to the MCP server."""
        name = params["name"]
        tool = self._aliases[name]
        arguments = dict(params["arguments"])
        if _GEMINI_PARAMETER not in (tool.schema.get("properties") or {}):
            arguments.pop(_GEMINI_PARAMETER, None)
        announced = next(
            (one for one in self._announced.values() if one.name == name and not one.made), None
        )
        if announced is not None:
            announced.made = True
        call = Call(params["id"], tool.name, arguments)
        self._made[call.id] = _Made(call, announced is not None)

    def withdrawn(self, params: Json) -> bool:
        """The agent waits no longer for a result; whether the caller knows of the call."""
        made = self._made.pop(params["id"], None)
        return made is not None and made.told

    def due(self) -> list[Call]:
        """The calls to tell the caller now; empty while more of them or of the text may come."""
        new = [made for made in self._made.values() if not made.told]
        if self.announces:
            missing = any(not call.made and not call.ended for call in self._announced.values())
            if (missing and not self.in_series) or any(not made.announced for made in new):
                return []
        for made in new:
            made.told = True
        return [made.call for made in new]

    def results(self, messages: Iterable[Message]) -> list[tuple[str, Json]]:
        """Ids and MCP results of the calls the caller knew of; none of them is left out."""
        given = {
            block.tool_use_id: block
            for message in messages
            for block in message.content
            if isinstance(block, ToolResult)
        }
        told = [identity for identity, made in self._made.items() if made.told]
        for identity in told:
            del self._made[identity]
        return [
            (
                identity,
                _result(
                    given.get(identity)
                    or ToolResult(identity, (Text("no result was given"),), is_error=True),
                    self.parses,
                ),
            )
            for identity in told
        ]

    def _name(self, update: Json, identifier: str) -> str | None:
        """The alias of the tool an update is about, or None when it is none of ours."""
        shown = [identifier.rpartition("__")[0], update.get("title")]
        match update.get("_meta"):
            case {"toolName": str(name)}:
                shown.append(name)
        return next((self._shown[name] for name in shown if name in self._shown), None)


def offers_tools(prompt: Prompt) -> bool:
    """Whether the model is to see the caller's tools."""
    return bool(prompt.tools) and prompt.tool_choice.mode != "none"


def requests(calls: Iterable[Call]) -> Iterable[Event]:
    """What the caller is told of calls, each as a whole."""
    for call in calls:
        yield RequestStarted(call.id, call.name)
        yield RequestArguments(call.id, to_json(call.input, inf_nan_mode="null").decode())
        yield Request(call.id, call.name, call.input)


def alias(name: str) -> str:
    """The name of a tool at the MCP server: the caller's, or a shorter one of its own."""
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name[: _LONGEST_NAME - 13]}_{digest}"


def servers(place: Json) -> list[Json]:
    """``mcpServers`` of a request that opens a session."""
    headers = [{"name": name, "value": value} for name, value in place["headers"].items()]
    return [{"type": "http", "name": SERVER, "url": place["url"], "headers": headers}]


def renamed(messages: Iterable[Message], tools: Iterable[Tool], shown: str) -> list[Message]:
    """Messages whose calls of `tools` have the names the model knows.

    Args:
        shown: how the agent names a tool of our server, with ``{server}`` and ``{name}``.
    """
    names = {tool.name: shown.format(server=SERVER, name=alias(tool.name)) for tool in tools}
    return [
        Message(
            message.role,
            tuple(
                ToolUse(block.id, names.get(block.name, block.name), block.input)
                if isinstance(block, ToolUse)
                else block
                for block in message.content
            ),
        )
        for message in messages
    ]


def after_results(
    history: tuple[Message, ...], new: tuple[Message, ...]
) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """History and new messages with all results of tools in the history.

    For sessions that are opened again: a prompt can hold no results.
    """
    results = tuple(
        block for message in new for block in message.content if isinstance(block, ToolResult)
    )
    if not results:
        return history, new
    rest = tuple(
        Message(message.role, left)
        for message in new
        if (left := tuple(b for b in message.content if not isinstance(b, ToolResult)))
    )
    return (*history, Message("user", results)), rest or (Message("user", (Text(GO_ON),)),)


def _schema(tool: Tool) -> Json:
    """The schema of the arguments as MCP has it.

    The word ``object`` stands in it, and each property has an object for its schema. Of a server
    that has a tool without these agents take no tool at all, and say nothing of it. All else
    reaches the model as it is, whatever its size (gemini 0.61.0 writes ``["string", "null"]`` as
    a nullable string).
    """
    named = tool.schema.get("type", "object")
    if "object" not in ([named] if isinstance(named, str) else named):
        raise BackendRefused(
            f"the tool {tool.name!r} must take an object, not {named!r}", param="tools"
        )
    schema = {**tool.schema, "type": "object"}
    if "properties" in schema:
        schema["properties"] = {
            name: {True: {}, False: {"not": {}}}[value] if isinstance(value, bool) else value
            for name, value in schema["properties"].items()
        }
    return schema


def _result(given: ToolResult, parses: bool) -> Json:
    """A result as MCP has it; with structured content where the agent would make up its own."""
    content = [
        {"type": "image", "mimeType": block.media_type, "data": block.data}
        if isinstance(block, Image)
        else {"type": "text", "text": block.text}
        for block in given.content
    ]
    result: Json = {"content": content, "isError": given.is_error}
    match content:
        case [{"type": "text", "text": str(text)}, *_] if parses:
            with suppress(ValueError):
                if not isinstance(value := decoded(text), dict):
                    result["structuredContent"] = {"result": value}
    return result
