"""What one turn of Claude Code has seen so far, and what its numbers mean."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ...events import StopReason, Usage
from ..base import Json
from ..paragraphs import Paragraphs
from .calls import Calls
from .output import StructuredAnswer


@dataclass(slots=True)
class Turn:
    """What a turn has seen so far.

    Attributes:
        limit: most model calls of the tool loop, or None.
        calls: those of the caller's tools.
        answer: the answer when it has to be of a certain form, or None for text.
        ending: why we asked the agent to stop; what still comes is not told any more.
        opening: usage of the message that streams now, which has no stop reason yet; else None.
        messages: messages of the model that have begun.
        content: that message, or the last one, has a content block.
        silent: that message, or the last one, gave no text.
        spoken: a text block began in any message.
        text: the texts of all messages as one.
        rounds: messages that ended with tool calls.
        waiting: ids of tool calls of the main thread that have no result yet.
        tools: names of the tools called, by id.
        accepted: the agent took a structured answer, which ends the turn.
        usage: that of all finished messages.
        usage_at_end: that when we asked the agent to stop; it may have begun to ask again.
        stop_sequence: the stop text that ended the last message, or None.
        error_kind: the kind the agent gave the error it is about to report.
    """

    limit: int | None
    calls: Calls
    answer: StructuredAnswer | None = None
    ending: StopReason | None = None
    opening: Json | None = None
    messages: int = 0
    content: bool = False
    silent: bool = True
    spoken: bool = False
    text: Paragraphs = field(default_factory=Paragraphs)
    rounds: int = 0
    waiting: set[str] = field(default_factory=set)
    tools: dict[str, str] = field(default_factory=dict)
    accepted: bool = False
    usage: Usage = field(default_factory=Usage)
    usage_at_end: Usage | None = None
    stop_sequence: str | None = None
    error_kind: str | None = None

    @property
    def cut(self) -> bool:
        """Whether a message gave content and then ended without a stop reason."""
        return self.opening is not None and self.content

    @property
    def exhausted(self) -> bool:
        """Whether there would be a next model call, and it would be one too many."""
        if self.limit is None or self.waiting or self.accepted:
            return False
        return self.rounds >= self.limit

    def begin_message(self, usage: Json) -> None:
        """The model begins another message, which has cost `usage` so far."""
        self.messages += 1
        self.opening, self.content, self.silent = usage, False, True

    def total(self, reported: Json) -> Usage:
        """Usage of the whole turn, from the figures of its `result`.

        They count subagents too, but are all zero after an interrupt, and 2.1.197 leaves out the
        reasoning.
        """
        seen = self.usage + usage_of(self.opening or {}, {})
        told = usage_of(reported, {})
        if told == Usage():
            return seen
        return replace(told, reasoning_tokens=max(told.reasoning_tokens, seen.reasoning_tokens))


def usage_of(opening: Json, final: Json) -> Usage:
    """Usage of one message: `final` wins, but it need not repeat what `opening` told."""
    told = opening | {name: value for name, value in final.items() if value is not None}
    cached = told.get("cache_read_input_tokens") or 0
    written = told.get("cache_creation_input_tokens") or 0
    details = told.get("output_tokens_details") or {}
    return Usage(
        input_tokens=(told.get("input_tokens") or 0) + cached + written,
        output_tokens=told.get("output_tokens") or 0,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=details.get("thinking_tokens") or 0,
    )
