"""Calls of the client's tools by a model that was never taught any: asked for in words, and held
to its word by a grammar.

The grammar is one of llguidance's, in the form of Lark with JSON Schemas in it. An answer is
either a call, between the marks many small models were trained on, or anything that does not
begin like one: what the model means is known from the first token that tells the two apart. So
an answer has one call at most, and no text beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .conversation import Tool, ToolChoice

_BEGIN, _END = "<tool_call>", "</tool_call>"

_ANY_TEXT = "/(?s:([^<].*|<([^t].*)?)?)/"
"""A text that does not begin like a call."""

_INSTRUCTIONS = """\
You may call one of these functions, each described by a line of JSON:
<tools>
{}
</tools>
To call one, answer with nothing but its name and arguments, in this form:
{}
Its result then comes as the next message."""


def instructions(tools: Iterable[Tool]) -> str:
    """What the model is told of the tools, for the system prompt."""
    lines = (
        _encode({"name": tool.name, "description": tool.description, "parameters": tool.schema})
        for tool in tools
    )
    return _INSTRUCTIONS.format("\n".join(lines), called("...", {"...": "..."}))


def takes_object(tool: Tool) -> bool:
    """Whether the arguments of a tool can be an object, as they have to be."""
    named = tool.schema.get("type", "object")
    return "object" in ([named] if isinstance(named, str) else named)


def grammar(tools: Sequence[Tool], choice: ToolChoice, schema: dict[str, Any] | None = None) -> str:
    """The grammar of an answer that may call `tools`, or has to.

    Args:
        tools: at least one.
        choice: which of them, and whether; a name is one of theirs.
        schema: of the answer, where it is no call; None for free text.
    """
    offered = [tool for tool in tools if choice.mode != "named" or tool.name == choice.name]
    rules = []
    for number, tool in enumerate(offered):
        head = _encode({"name": tool.name})[:-1] + ',"arguments":'
        rules += [
            f"call_{number}: {_literal(_BEGIN + head)} arguments_{number} {_literal('}' + _END)}",
            f"arguments_{number}: %json {json.dumps({**tool.schema, 'type': 'object'})}",
        ]
    answers = [f"call_{number}" for number in range(len(offered))]
    if choice.mode == "auto":
        answers.append("answer")
        rules.append(f"answer: {_ANY_TEXT if schema is None else '%json ' + json.dumps(schema)}")
    return "\n".join(["%llguidance {}", f"start: {' | '.join(answers)}", *rules, ""])


def called(name: str, arguments: dict[str, Any]) -> str:
    """A call of an earlier answer, as the model is asked to write it."""
    return _BEGIN + _encode({"name": name, "arguments": arguments}) + _END


def resulted(text: str) -> str:
    """The result of a call, as the model is shown it."""
    return f"<tool_response>{text}</tool_response>"


@dataclass(slots=True)
class AnswerReader:
    """Tells a call from a text while the answer comes."""

    _held: str = ""
    _is_text: bool = False
    _is_call: bool = False

    def feed(self, piece: str) -> str:
        """The next piece of the answer; what of it is text, and certainly no call."""
        if self._is_text:
            return piece
        self._held += piece
        self._is_call = self._held.startswith(_BEGIN)
        if self._is_call or _BEGIN.startswith(self._held):
            return ""
        self._is_text = True
        return self.rest()

    def rest(self) -> str:
        """What was held back because it might have become a call."""
        text, self._held = ("", self._held) if self._is_call else (self._held, "")
        return text

    def call(self) -> tuple[str, dict[str, Any]] | None:
        """Name and arguments of the call, or None when there is none, or no whole one."""
        if not self._is_call or not self._held.endswith(_END):
            return None
        try:
            value = json.loads(self._held.removeprefix(_BEGIN).removesuffix(_END))
        except ValueError:
            return None
        match value:
            case {"name": str(name), "arguments": dict(arguments)}:
                return name, arguments
            case _:
                return None


def _literal(text: str) -> str:
    """A text in Lark, which escapes as JSON does."""
    return json.dumps(text)


def _encode(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
