"""What a caller asked of the answer and the agent cannot do by itself: stop texts, a length limit.

A shaper sits between the agent and the caller of one turn. It holds back what may be the
beginning of a stop text, and ends the turn where the answer has to end; the pool then interrupts
the agent.
"""

from __future__ import annotations

from collections.abc import Sequence

from .events import (
    Completed,
    Event,
    Request,
    RequestStarted,
    StopReason,
    TextDelta,
    TokenUsage,
    Usage,
)
from .prompt import Prompt, Text

BYTES_PER_TOKEN = 4
"""How tokens are estimated where no agent counts them; too few rather than too many for prose."""


class Shaper:
    """Shapes the events of one turn.

    Args:
        prompt: what was asked, for estimated usage.
        stop: texts before which the answer ends.
        max_tokens: where the answer ends at the latest, by estimate; None for no limit.

    Attributes:
        cut: whether the answer was ended here; the agent then holds more than the caller got.
    """

    def __init__(self, prompt: Prompt, stop: Sequence[str], max_tokens: int | None) -> None:
        self._prompt = prompt
        self._stop = tuple(text for text in stop if text)
        self._longest = max(map(len, self._stop), default=1)
        self._budget = None if max_tokens is None else max_tokens * BYTES_PER_TOKEN
        self._held = ""
        self._given = 0
        self._usage = Usage()
        self.cut = False

    def feed(self, events: Sequence[Event]) -> list[Event]:
        """The events the caller gets; a `Completed` of ours is the last one for ever."""
        shaped: list[Event] = []
        for event in events:
            match event:
                case TextDelta(text):
                    if (end := self._text(text, shaped)) is not None:
                        shaped.append(end)
                        return shaped
                case Completed():
                    self._usage = event.usage
                    shaped.append(self._give(self._held, shaped) or event)
                case TokenUsage(usage):
                    self._usage = usage
                    shaped.append(event)
                case RequestStarted() | Request():
                    if (end := self._release(shaped)) is not None:
                        shaped.append(end)
                        return shaped
                    shaped.append(event)
                case _:
                    shaped.append(event)
        return shaped

    def _release(self, shaped: list[Event]) -> Completed | None:
        """Give what was held back: a call ends the text before it."""
        held, self._held = self._held, ""
        return self._give(held, shaped)

    def _text(self, text: str, shaped: list[Event]) -> Completed | None:
        text = self._held + text
        found = [(at, stop) for stop in self._stop if (at := text.find(stop)) >= 0]
        if found:
            at, stop = min(found)
            cut = self._give(text[:at], shaped)
            return cut or self._end("stop_sequence", stop)
        keep = self._possible_beginning(text)
        self._held = text[len(text) - keep :]
        return self._give(text[: len(text) - keep], shaped)

    def _possible_beginning(self, text: str) -> int:
        """How much of the end of `text` may turn out to begin a stop text."""
        for size in range(min(self._longest - 1, len(text)), 0, -1):
            if any(stop.startswith(text[-size:]) for stop in self._stop):
                return size
        return 0

    def _give(self, text: str, shaped: list[Event]) -> Completed | None:
        if self._budget is not None:
            data = text.encode()
            left = self._budget - self._given
            if len(data) > left:
                text = data[:left].decode(errors="ignore")
                self._given = self._budget
                if text:
                    shaped.append(TextDelta(text))
                return self._end("max_tokens", None)
            self._given += len(data)
        else:
            self._given += len(text)
        if text:
            shaped.append(TextDelta(text))
        return None

    def _end(self, reason: StopReason, stop: str | None) -> Completed:
        """The end we made; what the agent has not told yet is estimated."""
        self.cut = True
        asked = sum(
            len(block.text)
            for message in self._prompt.messages
            for block in message.content
            if isinstance(block, Text)
        )
        usage = Usage(
            input_tokens=self._usage.input_tokens or max(1, asked // BYTES_PER_TOKEN),
            output_tokens=self._usage.output_tokens or max(1, self._given // BYTES_PER_TOKEN),
            cached_tokens=self._usage.cached_tokens,
            cache_write_tokens=self._usage.cache_write_tokens,
            reasoning_tokens=self._usage.reasoning_tokens,
        )
        return Completed(reason, usage, stop_sequence=stop)
