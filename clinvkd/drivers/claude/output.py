"""An answer that is one JSON value, by the tool `StructuredOutput` of Claude Code.

With a `jsonSchema` in its first `initialize` the CLI offers the model this tool, checks each call
against the schema, has the model call again after a wrong one (five times at most), and ends the
turn with the accepted value in `result`. A schema that it does not understand it drops without a
word: then the tool is missing in `system/init`. Measured with 2.1.197 and 2.1.330.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ...errors import BackendError, BackendRefused
from ...events import TextDelta
from ...prompt import OutputSchema
from ..base import Json
from ..decoding import decoded

TOOL: Final = "StructuredOutput"

_LONGEST = 200
_OF_ANY_OBJECT = frozenset({"$schema", "title", "description", "type", "additionalProperties"})


def json_schema(output: OutputSchema) -> Json:
    """What `initialize` takes as `jsonSchema`.

    Raises:
        BackendRefused: the schema is not one of an object, which the input of a tool has to be.
    """
    if output.schema.get("type", "object") != "object":
        raise BackendRefused("claude takes only JSON Schemas of an object", param="output")
    # It reads schemas as draft 7, and drops one that names another dialect.
    return {name: value for name, value in output.schema.items() if name != "$schema"}


def definition(output: OutputSchema) -> Json:
    """The tool as the CLI offers it, for a request whose tools are written here."""
    return {
        "name": TOOL,
        "description": "Use this tool to return your final response in the requested structured"
        " format. You MUST call this tool exactly once at the end of your response to provide the"
        " structured output.",
        "input_schema": json_schema(output),
    }


def refuse_unless_offered(tools: object) -> None:
    """Raise BackendRefused when the tool is not among `tools`: the CLI dropped the schema."""
    if not isinstance(tools, list) or TOOL not in tools:
        raise BackendRefused(
            "claude does not take this JSON Schema: it knows draft 7 and no other keywords",
            param="output",
        )


class StructuredAnswer:
    """The structured answer of one turn: its text is given once, and only what will hold.

    A call may be refused after its last character. So the text streams only under a schema that
    accepts every object; under any other one the rest after the opening brace, which every answer
    begins with, waits until the value was accepted.
    """

    def __init__(self, output: OutputSchema) -> None:
        self._streams = _accepts_every_object(output.schema)
        self._calls = 0
        self._block: object = None
        self._call = ""
        self._given = ""

    def stream(self, event: Json) -> Iterator[TextDelta]:
        """What an event of the provider's stream allows to give."""
        match event:
            case {
                "type": "content_block_start",
                "index": index,
                "content_block": {"type": "tool_use", "name": name},
            } if name == TOOL:
                self._calls += 1
                self._block, self._call = index, ""
            case {
                "type": "content_block_delta",
                "index": index,
                "delta": {"type": "input_json_delta", "partial_json": str(piece)},
            } if index == self._block:
                self._call += piece
                if self._calls == 1:
                    yield from self._give(self._call if self._streams else self._call[:1])
            case {"type": "content_block_stop" | "message_start"}:
                self._block = None

    def refused(self, reason: str) -> None:
        """The agent did not take a call, and has the model make another one.

        Raises:
            BackendError: the call was given already.
        """
        if self._given not in ("", "{"):
            raise BackendError(f"claude refused its own answer after it was given: {reason}")

    def cut(self) -> Iterator[TextDelta]:
        """The provider ended the answer before its end: what there is of it."""
        yield from self._give(self._call)

    def accepted(self, result: Json) -> Iterator[TextDelta]:
        """The turn ended well: what is missing of the answer.

        Raises:
            BackendError: the model gave no answer of this form, or another one than it streamed.
        """
        match result:
            case {"structured_output": dict(value), "result": str(text)}:
                if text.startswith(self._given):
                    yield from self._give(text)
                elif not _is_json_of(self._given, value):
                    raise BackendError("claude changed its answer after it was given")
            case _:
                said = str(result.get("result", ""))[:_LONGEST]
                raise BackendError(f"claude did not answer in the form asked for: {said}")

    def _give(self, text: str) -> Iterator[TextDelta]:
        if text.startswith(self._given) and (rest := text[len(self._given) :]):
            self._given = text
            yield TextDelta(rest)


def _accepts_every_object(schema: Json) -> bool:
    return schema.keys() <= _OF_ANY_OBJECT and schema.get("additionalProperties", True) is True


def _is_json_of(text: str, value: Json) -> bool:
    try:
        return bool(decoded(text) == value)
    except ValueError:
        return False
