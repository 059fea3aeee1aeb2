"""Reads the parameters of requests into typed values, or says which one is wrong."""

from __future__ import annotations

from typing import Any

from .conversation import ContentBlock, Message, Options, Tool, ToolChoice
from .jsonrpc import INVALID_PARAMS, RequestError

Object = dict[str, Any]


def text(parameters: Object, name: str) -> str:
    """A required string."""
    match parameters.get(name):
        case str(value):
            return value
        case _:
            raise _wrong(name, "a string")


def content(value: Any, path: str) -> tuple[ContentBlock, ...]:
    """A list of content blocks, with the members an agent reads checked."""
    if not isinstance(value, list):
        raise _wrong(path, "a list of content blocks")
    for index, block in enumerate(value):
        match block:
            case {"type": "text", "text": str()}:
                pass
            case {"type": "image", "mimeType": str(), "data": str()}:
                pass
            case {"type": "tool_use", "id": str(), "name": str(), "input": dict()}:
                pass
            case {"type": "tool_result", "toolUseId": str(), "content": [*blocks]}:
                content(blocks, f"{path}[{index}].content")
            case {"type": "text" | "image" | "tool_use" | "tool_result" as kind}:
                raise _wrong(f"{path}[{index}]", f"a complete {kind} block")
            case {"type": str()}:
                pass
            case _:
                raise _wrong(f"{path}[{index}]", "a content block with a type")
    return tuple(value)


def extension(parameters: Object) -> Object:
    """The ``_meta.clinvk`` object of a request, empty when there is none."""
    match parameters.get("_meta"):
        case {"clinvk": dict() as members}:
            return members
        case {"clinvk": _}:
            raise _wrong("_meta.clinvk", "an object")
        case _:
            return {}


def system(members: Object) -> str | None:
    """``_meta.clinvk.system``: the system prompt of a new session."""
    match members.get("system"):
        case None | str() as prompt:
            return prompt
        case _:
            raise _wrong("_meta.clinvk.system", "a string")


def history(members: Object) -> list[Message]:
    """``_meta.clinvk.history``: the messages a new session starts with."""
    path = "_meta.clinvk.history"
    entries = members.get("history")
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise _wrong(path, "a list of messages")
    messages = []
    for index, entry in enumerate(entries):
        match entry:
            case {"role": "user" | "assistant" as role, "content": blocks}:
                messages.append(Message(role, content(blocks, f"{path}[{index}].content")))
            case _:
                raise _wrong(f"{path}[{index}]", "a message with role user or assistant")
    return messages


def options(members: Object) -> Options:
    """``_meta.clinvk.options``: the sampling options of a prompt."""
    path = "_meta.clinvk.options"
    given = members.get("options")
    if given is None:
        return Options()
    if not isinstance(given, dict):
        raise _wrong(path, "an object")
    return Options(
        max_tokens=_integer(given, "max_tokens", minimum=1),
        temperature=_number(given, "temperature"),
        top_p=_number(given, "top_p"),
        top_k=_integer(given, "top_k", minimum=1),
        seed=_integer(given, "seed", minimum=0),
        stop=_strings(given, "stop"),
        schema=_object(given, "schema"),
        received=given,
    )


def tools(members: Object) -> tuple[Tool, ...]:
    """``_meta.clinvk.tools``: the client's tools that may be called."""
    path = "_meta.clinvk.tools"
    match members.get("tools"):
        case None:
            return ()
        case [*entries]:
            found = []
            for index, entry in enumerate(entries):
                match entry:
                    case {"name": str(name), "inputSchema": dict(schema), **rest}:
                        found.append(Tool(name, str(rest.get("description", "")), schema))
                    case _:
                        raise _wrong(f"{path}[{index}]", "a tool with a name and an inputSchema")
            return tuple(found)
        case _:
            raise _wrong(path, "a list of tools")


def tool_choice(members: Object) -> ToolChoice:
    """``_meta.clinvk.toolChoice``: whether they have to be called."""
    match members.get("toolChoice"):
        case None:
            return ToolChoice()
        case {"mode": "auto" | "required" | "named" as mode, **rest}:
            name, parallel = rest.get("name", ""), rest.get("parallel", True)
            if isinstance(name, str) and isinstance(parallel, bool):
                return ToolChoice(mode=mode, name=name, parallel=parallel)
    raise _wrong("_meta.clinvk.toolChoice", "an object with mode auto, required or named")


def _integer(given: Object, name: str, *, minimum: int) -> int | None:
    match given.get(name):
        case None:
            return None
        case int(value) if value >= minimum and not isinstance(value, bool):
            return value
        case _:
            raise _wrong(f"_meta.clinvk.options.{name}", f"an integer of at least {minimum}")


def _number(given: Object, name: str) -> float | None:
    match given.get(name):
        case None:
            return None
        case int(value) | float(value) if value >= 0 and not isinstance(value, bool):
            return value
        case _:
            raise _wrong(f"_meta.clinvk.options.{name}", "a number of at least 0")


def _object(given: Object, name: str) -> Object | None:
    match given.get(name):
        case None | dict() as value:
            return value
        case _:
            raise _wrong(f"_meta.clinvk.options.{name}", "an object")


def _strings(given: Object, name: str) -> tuple[str, ...]:
    values = given.get(name)
    if values is None:
        return ()
    if isinstance(values, list) and all(isinstance(value, str) and value for value in values):
        return tuple(values)
    raise _wrong(f"_meta.clinvk.options.{name}", "a list of non-empty strings")


def _wrong(path: str, expected: str) -> RequestError:
    return RequestError(INVALID_PARAMS, f"{path} must be {expected}")
