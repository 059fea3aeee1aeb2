"""Tools of the Responses API, all as functions: agents know nothing else.

A custom tool takes free text, so it becomes a function with one string, `INPUT`. A function of a
namespace gets a name of its own, ``namespace__function``. What a call looks like to the caller is
found again by that name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from ....errors import InvalidRequest
from ....prompt import Tool
from ...tools import checked_tools, tool_of

INPUT: Final = "input"
"""The only argument of a function that stands for a custom tool."""

Declaration: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Origin:
    """How the caller knows a tool.

    Attributes:
        kind: what the type of its calls is.
        namespace: where its name belongs to, or None.
    """

    name: str
    kind: Literal["function_call", "custom_tool_call"] = "function_call"
    namespace: str | None = None

    def call(self, identity: str) -> dict[str, Any]:
        """The output item of a call that begins, but for its id."""
        custom = self.kind == "custom_tool_call"
        return {
            "type": self.kind,
            "status": "in_progress",
            "call_id": identity,
            "name": self.name,
            **({} if self.namespace is None else {"namespace": self.namespace}),
            "input" if custom else "arguments": "",
        }


def function_name(name: str, namespace: str | None) -> str:
    """What an agent calls a tool."""
    return name if namespace is None else f"{namespace}__{name}"


def declared(tools: Iterable[Declaration] | None) -> tuple[Tool, ...]:
    """The functions that agents are given.

    Raises:
        InvalidRequest: naming the one that cannot be used.
    """
    return checked_tools(_function(*found) for found in _flat(tools))


def origins(tools: Iterable[Declaration] | None) -> dict[str, Origin]:
    """How the caller knows each of its `declared` tools, by the agent's name."""
    return {
        function_name(tool["name"], namespace): Origin(
            tool["name"],
            "custom_tool_call" if tool["type"] == "custom" else "function_call",
            namespace,
        )
        for tool, namespace, _ in _flat(tools)
    }


def free_text(arguments: Mapping[str, Any]) -> str | None:
    """The input of a custom tool; None when the model did not keep to the one argument."""
    text = arguments.get(INPUT)
    return text if isinstance(text, str) else None


def _flat(
    tools: Iterable[Declaration] | None,
) -> Iterator[tuple[Declaration, str | None, str]]:
    """Each tool with its namespace and where it stands."""
    for index, tool in enumerate(tools or ()):
        where = f"tools[{index}]"
        match tool:
            case {"type": "namespace", "name": str(namespace), "tools": [*members]}:
                for number, member in enumerate(members):
                    place = f"{where}.tools[{number}]"
                    yield _callable(member, place), namespace, place
            case _:
                yield _callable(tool, where), None, where


def _callable(tool: Any, where: str) -> Declaration:
    """A tool that the caller runs."""
    match tool:
        case {"type": "function" | "custom"}:
            declaration: Declaration = tool
            return declaration
        case {"type": "namespace"}:
            reason = "a namespace needs a name and tools, and stands in no other"
        case {"type": str(kind)}:
            reason = (
                f"tools of type {kind[:40]!r} are not supported: nothing runs here on OpenAI's"
                " servers; leave it out"
            )
        case _:
            reason = "type is required"
    raise InvalidRequest(f"{where}: {reason}", param=where)


def _function(tool: Declaration, namespace: str | None, where: str) -> Tool:
    name, description = tool.get("name"), tool.get("description")
    if isinstance(name, str):
        name = function_name(name, namespace)
    if tool["type"] == "function":
        return tool_of(name, description, tool.get("parameters"), where)
    function = tool_of(name, description, _FREE_TEXT, where)
    told = filter(None, (function.description, _grammar(tool.get("format"), f"{where}.format")))
    return replace(function, description="\n\n".join(told))


_FREE_TEXT: Final = {
    "type": "object",
    "properties": {INPUT: {"type": "string", "description": "The whole input, as free text."}},
    "required": [INPUT],
    "additionalProperties": False,
}


def _grammar(form: object, where: str) -> str:
    """What the model is told of a custom tool's grammar, which nobody here enforces."""
    match form:
        case None | {"type": "text"}:
            return ""
        case {"type": "grammar", "syntax": str(syntax), "definition": str(definition)}:
            return f"The input must match this {syntax} grammar:\n{definition}"
    raise InvalidRequest(
        f"{where} must be of type text, or grammar with syntax and definition", param=where
    )
