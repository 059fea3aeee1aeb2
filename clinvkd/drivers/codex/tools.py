"""The caller's tools in codex: offered as dynamic tools, called, and given their results.

A turn of codex goes on over several of ours: its question for a result, `item/tool/call`, stays
unanswered while the conversation is parked. codex sets no limit to that (900 s were measured).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, takewhile
from typing import TypeAlias

from pydantic_core import from_json, to_json

from ...events import Event, Request, RequestArguments, RequestStarted
from ...prompt import Image, Message, Prompt, Text, Tool, ToolResult, ToolUse
from ..base import Json
from .items import data_url
from .schemas import native_schema

NameOf: TypeAlias = Callable[[str], str]

_SHADOWED = frozenset({"exec_command", "shell_command"})
"""codex silently leaves out tools of these names, even where it has no such tool itself."""

_OWN = _SHADOWED | {
    "apply_patch", "close_agent", "create_goal", "exec", "get_goal", "list_mcp_resource_templates",
    "list_mcp_resources", "multi_agent_v1", "read_mcp_resource", "request_user_input",
    "resume_agent", "send_input", "spawn_agent", "tool_search", "update_goal", "update_plan",
    "view_image", "wait", "wait_agent", "web_search", "write_stdin",
}  # fmt: skip
"""Names that codex's own tools have: where those are on, they win over the caller's."""

_RESERVED = "mcp__"
_MARK = "client_"
_LONGEST = 64  # the Responses API takes no longer names; codex would pass them on


def offered(prompt: Prompt) -> bool:
    """Whether the model can be given tools for `prompt`. They hold for a whole thread."""
    return bool(prompt.tools) and prompt.tool_choice.mode != "none"


def native_names(prompt: Prompt) -> NameOf:
    """What gives the name that a tool of the caller's has in codex."""
    taken = _OWN if prompt.permissions.tools else _SHADOWED
    return lambda name: _unlike(name, taken)


def callers_names(prompt: Prompt) -> Mapping[str, str]:
    """The caller's name of each tool that is offered, by its name in codex."""
    name_of = native_names(prompt)
    return {name_of(tool.name): tool.name for tool in prompt.tools} if offered(prompt) else {}


def dynamic_tools(prompt: Prompt) -> list[Json]:
    """The caller's tools as `thread/start` takes them.

    Raises:
        BackendRefused: the arguments of one are to be something else than an object.
    """
    name_of = native_names(prompt)
    return [_definition(tool, name_of(tool.name)) for tool in prompt.tools]


def _definition(tool: Tool, name: str) -> Json:
    schema, whole = native_schema(tool)
    description = "\n\n".join(filter(None, [tool.description, whole]))
    return {"type": "function", "name": name, "description": description, "inputSchema": schema}


def settled(prompt: Prompt) -> tuple[Message, ...]:
    """The new messages, with a result for each call that was left without one."""
    given = {
        block.tool_use_id
        for message in prompt.new
        for block in message.content
        if isinstance(block, ToolResult)
    }
    replies = takewhile(lambda message: message.role == "assistant", reversed(prompt.history))
    called = chain.from_iterable(message.content for message in replies)
    missing = tuple(
        ToolResult(block.id, (Text("no result was given"),), is_error=True)
        for block in called
        if isinstance(block, ToolUse) and block.id not in given
    )
    return (Message("user", missing), *prompt.new) if missing else prompt.new


class ClientCalls:
    """The open calls of one thread.

    codex tells a call as an item of the provider's response, in the model's order and with the
    text of its arguments; the calls are complete when the response is. codex also asks for the
    result of each, in any order, before or after the response's end, and, where a call it answers
    itself stands between two, only after the first got its result. In a JavaScript interpreter
    there are questions only, so each call stands alone.

    Args:
        names: the caller's name of each tool, by its name in codex.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._open: dict[str, None] = {}
        self._questions: dict[str, Json] = {}
        self._answers: dict[str, Json] = {}
        self._complete = False

    def called(self, item: Json) -> Iterator[Event]:
        """The provider's item of a call. codex itself answers what it cannot read."""
        match item:
            case {"call_id": str(call), "name": str(name), "arguments": str(text)} if (
                name in self._names
            ):
                try:
                    arguments = from_json(text, allow_inf_nan=False)
                except ValueError:
                    return
                if isinstance(arguments, dict):
                    yield from self._tell(call, name, text, arguments)

    def response_ended(self) -> None:
        """The provider's response is complete, or there is no more of it to wait for."""
        self._complete = bool(self._open)

    def asked(self, question: Json) -> Iterator[Event]:
        """A question for a result that the caller has not brought.

        Raises:
            ValueError: there is no such tool, or its arguments are no object: for the model.
        """
        match question["params"]:
            case {"callId": str(call), "tool": str(name), "arguments": dict(arguments)} if (
                name in self._names
            ):
                self._questions[call] = question
                if call not in self._open:
                    self._complete = True
                    yield from self._tell(call, name, to_json(arguments).decode(), arguments)
            case _:
                raise ValueError("the arguments must be a JSON object")

    @property
    def unfinished(self) -> bool:
        """Whether the model has made calls and may go on with its response."""
        return bool(self._open) and not self._complete

    @property
    def waiting(self) -> bool:
        """Whether the model goes on only when the caller has brought results."""
        return self._complete and bool(self._open)

    def bring(self, results: Mapping[str, ToolResult]) -> Iterator[tuple[Json, Json]]:
        """Close the open calls: the questions that can be answered now, with their answers."""
        for call in self._open:
            if (question := self._questions.pop(call, None)) is None:
                self._answers[call] = answer(results[call])
            else:
                yield question, answer(results[call])
        self._open.clear()
        self._complete = False

    def brought(self, question: Json) -> Json | None:
        """The answer to a question that came only after the result, else None."""
        return self._answers.pop(question["params"].get("callId"), None)

    def _tell(self, call: str, name: str, text: str, arguments: Json) -> Iterator[Event]:
        self._open[call] = None
        yield RequestStarted(call, self._names[name])
        yield RequestArguments(call, text)
        yield Request(call, self._names[name], arguments)


def answer(result: ToolResult) -> Json:
    """The answer to the question for `result`."""
    return {"contentItems": _content(result.content), "success": not result.is_error}


def failure(reason: str) -> Json:
    """The answer to a question that the caller is not bothered with."""
    return {"contentItems": [{"type": "inputText", "text": reason}], "success": False}


def _content(content: tuple[Text | Image, ...]) -> list[Json]:
    if all(isinstance(block, Text) for block in content):
        text = "".join(block.text for block in content if isinstance(block, Text))
        return [{"type": "inputText", "text": text}]
    return [
        {"type": "inputText", "text": block.text}
        if isinstance(block, Text)
        else {"type": "inputImage", "imageUrl": data_url(block)}
        for block in content
    ]


def _unlike(name: str, taken: frozenset[str]) -> str:
    """`name` itself, or a marked form when codex or the API would not take it.

    A name that looks marked is marked again, so two names never become one.
    """
    fits = len(name) <= _LONGEST and not name.startswith((_RESERVED, _MARK))
    if fits and name not in taken:
        return name
    marked = _MARK + name
    if len(marked) <= _LONGEST:
        return marked
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{marked[: _LONGEST - 1 - len(digest)]}_{digest}"
