"""A running turn of codex, read from the notifications of its thread."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import TypeAlias

from ...errors import BackendRefused
from ...events import (
    Event,
    Progress,
    TextDelta,
    ThinkingDelta,
    TokenUsage,
    ToolCall,
    ToolOutput,
    Usage,
)
from ..base import Json
from ..paragraphs import Paragraphs
from .errors import stream_ended_early, told

Called: TypeAlias = tuple[str, object]
"""Name and input of a call, as callers see them."""


class TurnReader:
    """Turns the notifications of one turn into events.

    Args:
        counted: the thread's total usage before this turn.
        may_compact: whether codex may summarise the context; otherwise the turn is refused then.
        last_only: only the last message of the turn is the answer, so none can be given before
            the end.

    Attributes:
        counted: the thread's total usage so far.
    """

    def __init__(self, counted: Usage, *, may_compact: bool, last_only: bool) -> None:
        self.counted = counted
        self._before = counted
        self._may_compact = may_compact
        self._last_only = last_only
        self._last: tuple[str, str] = ("", "")
        self._text = Paragraphs()
        self._texts: set[str] = set()
        self._thinking = Paragraphs()
        self._thoughts: set[str] = set()
        self._called: dict[str, Called] = {}
        self._given = False

    @property
    def usage(self) -> Usage:
        """Usage of this turn so far.

        The difference of the totals: a failing request repeats the last update, so its parts
        (`last`) must not be summed.
        """
        return _difference(self.counted, self._before)

    def called(self, item: str) -> Called | None:
        """Name and input of a call of codex's own tools, once it was told."""
        return self._called.get(item)

    def responded(self, usage: Usage) -> Iterator[TokenUsage]:
        """A response of the provider is complete, told before its tools have run."""
        yield from self._counted_more(self.counted + usage)

    def requested(self) -> None:
        """A call was given to the caller: codex must not repeat what led to it."""
        self._given = True

    def text(self, item: str, piece: str) -> Iterator[TextDelta]:
        """The next piece of the message `item`."""
        self._texts.add(item)
        if self._last_only:
            before = self._last[1] if self._last[0] == item else ""
            self._last = (item, before + piece)
        else:
            self._given = True
            yield TextDelta(self._text.add(piece, item))

    def end(self) -> Iterator[TextDelta]:
        """What was kept back of the answer until the turn ended."""
        if self._last[1]:
            yield TextDelta(self._last[1])

    def events(self, method: str, parameters: Json) -> Iterator[Event]:
        """What a notification other than a piece of text tells; nothing for unknown kinds.

        Raises:
            BackendError: codex is about to repeat text that was already given.
            BackendRefused: the context is full and must not be summarised.
        """
        match method, parameters:
            case (
                "item/reasoning/summaryTextDelta" | "item/reasoning/textDelta",
                {"itemId": str(item), "delta": str(piece)},
            ):
                part = parameters.get("summaryIndex", parameters.get("contentIndex"))
                yield self._thought(item, piece, part)
            case "item/started", {"item": dict(item)}:
                yield from self._started(item)
            case "item/completed", {"item": dict(item)}:
                yield from self._completed(item)
            case "thread/tokenUsage/updated", {"tokenUsage": {"total": dict(total)}}:
                yield from self._counted_more(usage_of(total))
            case "turn/plan/updated", {"plan": list(plan)}:
                yield Progress("plan", "\n".join(_step(step) for step in plan))
            case "error", {"error": {"message": str(message), **rest}, "willRetry": True}:
                if self._given:
                    raise stream_ended_early(str(rest.get("additionalDetails") or message))
                yield Progress("retrying", told(message))

    def _thought(self, item: str, piece: str, part: Hashable = None) -> ThinkingDelta:
        self._given = True
        self._thoughts.add(item)
        return ThinkingDelta(self._thinking.add(piece, (item, part)))

    def _started(self, item: Json) -> Iterator[Event]:
        if item.get("type") == "contextCompaction":
            if not self._may_compact:
                raise BackendRefused(
                    "the conversation is longer than the model's context window", param="prompt"
                )
            yield Progress("compacting")
        yield from self._call(item)

    def _completed(self, item: Json) -> Iterator[Event]:
        match item:
            case {"type": "agentMessage", "id": str(name), "text": str(text)} if text:
                if name not in self._texts:
                    yield from self.text(name, text)
            case {"type": "reasoning", "id": str(name), "summary": list(parts)}:
                if name not in self._thoughts and parts:
                    yield self._thought(name, "\n\n".join(map(str, parts)))
            case {"type": str(kind), "id": str(name)} if kind in _TOOLS:
                yield from self._call(item)
                tool, _ = _TOOLS[kind](item)
                failed = item.get("status") not in (None, "completed")
                output = _output(item) or (str(item["status"]) if failed else "")
                yield ToolOutput(name, tool, output, is_error=failed)

    def _call(self, item: Json) -> Iterator[ToolCall]:
        match item:
            case {"type": str(kind), "id": str(name)} if (
                kind in _TOOLS and name not in self._called
            ):
                tool, arguments = self._called[name] = _TOOLS[kind](item)
                yield ToolCall(name, tool, arguments)

    def _counted_more(self, total: Usage) -> Iterator[TokenUsage]:
        if total == self.counted:
            return
        # One response of the provider is complete: what comes now cannot be a repetition of it.
        self._given = False
        self.counted = total
        yield TokenUsage(self.usage)


def _mcp_tool(item: Json) -> Called:
    return f"mcp__{item.get('server')}__{item.get('tool')}", item.get("arguments")


_TOOLS: dict[str, Callable[[Json], Called]] = {
    "commandExecution": lambda item: (
        "command_execution",
        {"command": item.get("command"), "cwd": item.get("cwd")},
    ),
    "fileChange": lambda item: ("file_change", {"changes": item.get("changes")}),
    "mcpToolCall": _mcp_tool,
    "webSearch": lambda item: ("web_search", {"query": item.get("query")}),
}
"""The agent's own tools by type of item: how callers see the name and the input of a call."""


def _output(item: Json) -> str:
    match item:
        case {"aggregatedOutput": str(output)}:
            return output
        case {"result": {"content": list(content)}}:
            return "".join(str(part["text"]) for part in content if "text" in part)
        case {"error": {"message": str(message)}}:
            return message
        case _:
            return ""


def _step(step: Json) -> str:
    return f"[{step.get('status')}] {step.get('step')}"


def usage_of(total: Json) -> Usage:
    """The token counts of codex, of a thread or of a response."""
    return Usage(
        input_tokens=total.get("inputTokens", 0),
        output_tokens=total.get("outputTokens", 0),
        cached_tokens=total.get("cachedInputTokens", 0),
        cache_write_tokens=total.get("cacheWriteInputTokens", 0),
        reasoning_tokens=total.get("reasoningOutputTokens", 0),
    )


def _difference(after: Usage, before: Usage) -> Usage:
    return Usage(
        input_tokens=after.input_tokens - before.input_tokens,
        output_tokens=after.output_tokens - before.output_tokens,
        cached_tokens=after.cached_tokens - before.cached_tokens,
        cache_write_tokens=after.cache_write_tokens - before.cache_write_tokens,
        reasoning_tokens=after.reasoning_tokens - before.reasoning_tokens,
    )
