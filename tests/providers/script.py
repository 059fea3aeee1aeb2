"""What a fake provider answers: a `Reply`, chosen by a directive in the prompt or by a callable.

A directive is a JSON object between ``%%`` signs anywhere in the newest user text; its keys are the
fields of `Reply`::

    Say hello %%{"text": "Hello world", "chunks": 5, "delay": 0.02}%%
    What is the weather? %%{"tools": [{"name": "weather", "arguments": {"city": "Oslo"}}],
                            "then": {"text": "It rains."}}%%
    %%{"error": {"status": 429, "retry_after": 2}}%%

Without a directive the answer is `DEFAULT_TEXT`.  Unless a text is given, a ``marker=XYZ`` in the
newest user text is repeated at the end of the answer, so that mixed-up streams can be told apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import field
from itertools import chain, pairwise, repeat
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from .recording import RecordedRequest

DEFAULT_TEXT = "Hello from the fake provider."

_DIRECTIVE = re.compile(r"%%(?=\{)")
_MARKER = re.compile(r"\bmarker=[\w.-]*\w")
_STRICT = ConfigDict(extra="forbid")

StopReason = Literal["end", "max_tokens", "stop_sequence", "refusal"]


class ScriptError(ValueError):
    """A directive that cannot be obeyed; the provider answers 400 with this text."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class ToolCall:
    """A call the model makes.

    `arguments` given as text are sent as they are, be they JSON or not; `custom` makes it a call of
    a Responses API custom tool, whose input is free text.
    """

    name: str
    arguments: dict[str, Any] | str = field(default_factory=dict)
    custom: bool = False

    @property
    def arguments_text(self) -> str:
        """The arguments as they go over the wire in dialects that send them as text."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True, slots=True, config=_STRICT)
class Usage:
    """Token figures to report; distinct by default, so that a mix-up of fields shows."""

    input: int = 31
    """All prompt tokens, the cached ones included."""
    cached: int = 7
    """The part of `input` that was read from a cache."""
    output: int = 13
    """All generated tokens, the reasoning ones included."""
    reasoning: int = 3
    """The part of `output` that was reasoning."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class Failure:
    """An HTTP error instead of an answer, with the vendor's error body."""

    status: int
    message: str = ""
    kind: str = ""
    """The vendor's own error type or code; by default the one that belongs to the status."""
    retry_after: float | None = None
    """Seconds for the `retry-after` header."""

    @property
    def text(self) -> str:
        """The message, which names the status unless another was given."""
        return self.message or f"fake error {self.status}"


def _failure(value: object) -> object:
    return {"status": value} if isinstance(value, int) else value


@dataclass(frozen=True, slots=True, config=_STRICT)
class Reply:
    """One answer of the provider.

    Order on the wire: thinking, text, tool calls, end.  `delay` and the fields with ``_after`` look
    at the pieces of the text only; ``_after`` 0 means right after the response headers.
    """

    text: str | None = None
    """The answer; None: the default text (nothing when there are tool calls)."""
    chunks: Annotated[int, Field(ge=1)] = 4
    """Pieces the text is sent in (at most one per character)."""
    words: Annotated[int, Field(ge=0)] = 0
    """If not 0: the text is ``word1 word2 ... ``, a piece per word, whatever `text` says."""
    delay: Annotated[float, Field(ge=0)] = 0.0
    """Seconds between two pieces."""
    wait: Annotated[float, Field(ge=0)] = 0.0
    """Seconds before the response headers."""
    silent: bool = False
    """Never answer, not even with headers."""
    thinking: str = ""
    """Reasoning before the text."""
    tools: tuple[ToolCall, ...] = ()
    """Calls to make, all in this one answer; the client runs them and asks again."""
    then: Reply | None = None
    """The answer to that next request, which carries the tools' results; None: the default text."""
    error: Annotated[Failure | None, BeforeValidator(_failure)] = None
    """An HTTP error instead of all this; in a directive its status alone is enough."""
    fail_after: Annotated[int, Field(ge=0)] | None = None
    """Pieces after which the stream reports an error in the vendor's way and ends."""
    fail_kind: str = ""
    """The vendor's type or code of that error; empty: an overloaded server."""
    cut_after: Annotated[int, Field(ge=0)] | None = None
    """Pieces after which the connection is dropped."""
    cut_at: Annotated[int, Field(ge=0)] | None = None
    """Events of the stream, whatever they carry, after which the connection is dropped."""
    hold_after: Annotated[int, Field(ge=0)] | None = None
    """Pieces after which the stream stands still until `FakeProvider.release()`."""
    stop: StopReason = "end"
    """Why the model stopped, unless it made tool calls."""
    usage: Usage = field(default_factory=Usage)

    def pieces(self, request: RecordedRequest) -> list[str]:
        """The text of the answer to `request`, in the pieces it is streamed in."""
        marker = _MARKER.search(request.last_user_text)
        echo = marker.group() if marker else ""
        if self.words:
            return [f"word{number} " for number in range(1, self.words + 1)] + [echo] * bool(echo)
        text = self.text
        if text is None:
            text = "" if self.tools else f"{DEFAULT_TEXT} {echo}".rstrip()
        chunks = min(self.chunks, len(text))
        edges = [len(text) * index // chunks for index in range(chunks + 1)] if chunks else []
        return [text[start:end] for start, end in pairwise(edges)]

    def after_tool_rounds(self, rounds: int) -> Reply:
        """The reply due after tool results were sent back `rounds` times."""
        reply = self
        for _ in range(rounds):
            reply = reply.then or Reply(usage=reply.usage)
        return reply


Script: TypeAlias = Callable[[RecordedRequest], Reply]
"""Chooses the reply to a turn; may raise ScriptError."""

_REPLY = TypeAdapter(Reply)


def directive(text: str) -> Reply | None:
    """The reply that the last directive in `text` asks for, or None without one.

    Raises ScriptError when it is not a JSON object or a field is unknown or out of range.
    """
    starts = [match.end() for match in _DIRECTIVE.finditer(text)]
    if not starts:
        return None
    try:
        value, end = json.JSONDecoder().raw_decode(text, starts[-1])
        if not text.startswith("%%", end):
            raise ScriptError("a directive must end with }%%")
        return _REPLY.validate_python(value)
    except (json.JSONDecodeError, ValidationError) as error:
        raise ScriptError(f"bad directive: {error}") from error


def obey_directives(request: RecordedRequest, default: Reply | None = None) -> Reply:
    """The script every provider has unless it is given another: obey the prompt, else `default`."""
    reply = directive(request.last_user_text) or default or Reply()
    return reply.after_tool_rounds(request.conversation.tool_rounds)


def in_turn(*replies: Reply) -> Script:
    """A script that gives `replies` one after the other and repeats the last for ever."""
    coming = chain(replies, repeat(replies[-1]))

    def next_reply(request: RecordedRequest) -> Reply:
        return next(coming)

    return next_reply
