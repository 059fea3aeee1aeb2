"""A turn: one prompt running in one conversation, as its caller sees it."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import BackendError, ClinvkError, TurnTimeout
from ..events import Completed, Event, Opened, Progress, Request, TextDelta, TokenUsage, Usage
from ..prompt import Block, Message, Prompt, Text, ToolUse
from ..shaping import Shaper
from .conversation import Conversation
from .play import Play

_LOOK_AGAIN = 1.0
"""Seconds after which a turn that waits for a person is looked at again, at the earliest."""


class Way(enum.StrEnum):
    """How a turn found its conversation; see `Pool`."""

    CONTINUE = "continue"
    SEED = "seed"
    START = "start"


@dataclass(frozen=True, slots=True)
class Budgets:
    """Limits of one turn, in seconds.

    Attributes:
        first: until the first text, thinking or tool use.
        idle: without any sign of life from the agent.
        total: for the whole turn, less the time in which the agent waited for a decision.
    """

    first: float
    idle: float
    total: float


class Turn:
    """The events of one turn, in lists: all that came in one read of the agent's output.

    If something has to be done before the end, the end is a list of its own: an answer that came
    whole in one read is not held back meanwhile.
    Iterating ends after the list whose last event is `Completed`, or raises a `ClinvkError`;
    only after every event before the failure was given.

    Attributes:
        prompt: what was asked.
        way: how the conversation was found.
        started: `time.monotonic()` of the begin.
        completed: the last event once it has come, else None.
        agent_session_id: the agent's own id of the conversation once told, else None.
        model: the agent's name of the model once told, else None.
        said: the pieces of its text so far; it only ever grows at the end.
        usage: what its agent has told of its tokens so far.
        first_text_at: `time.monotonic()` of the first text once it was given, else None.
        failure: what it failed with, else None.
        when_completed: called once, as soon as the last event has come.
        before_end: called once the caller has taken everything but the last event; each begins
            what has to be done before that is given: who answers it at once must find the turn
            recorded. What was begun goes on when the caller leaves.
    """

    def __init__(
        self,
        conversation: Conversation,
        play: Play,
        prompt: Prompt,
        way: Way,
        budgets: Budgets,
        shaper: Shaper | None = None,
    ) -> None:
        self.conversation = conversation
        self.prompt = prompt
        self.way = way
        self.started = time.monotonic()
        self.completed: Completed | None = None
        self.agent_session_id: str | None = None
        self.model: str | None = None
        self.usage = Usage()
        self.first_text_at: float | None = None
        self.failure: ClinvkError | None = None
        self.when_completed: list[Callable[[], None]] = []
        self.before_end: list[Callable[[], asyncio.Future[None]]] = []
        self._last: list[Event] = []
        self._play = play
        self._shaper = shaper
        self.said: list[str] = []
        self._text_from = 0  # which of them come after the last block
        self._blocks: list[Block] = []
        self._first_seen = False
        self._budgets = budgets
        self._timer: asyncio.TimerHandle | None = None
        self._watch()

    def __aiter__(self) -> Turn:
        return self

    async def __anext__(self) -> list[Event]:
        if self.completed is not None:
            return await self._end()
        try:
            events = await self._batch()
        except ClinvkError as error:
            self.failure = error
            raise
        for event in events:
            if type(event) is TextDelta:
                self.said.append(event.text)
                if self.first_text_at is None:
                    self.first_text_at = time.monotonic()
                self._first_seen = True
            else:
                self._note(event)
        if type(events[-1]) is not Completed:
            return events
        for act in self.when_completed:
            act()
        if not self.before_end:
            return events
        self._last = [events.pop()]
        return events or await self._end()

    async def _end(self) -> list[Event]:
        if not self._last:
            raise StopAsyncIteration
        last, self._last = self._last, []
        for done in [begin() for begin in self.before_end]:
            await asyncio.shield(done)
        return last

    async def _batch(self) -> list[Event]:
        while True:
            events = await self._play.batch()
            if not events:
                raise BackendError("the agent ended the turn without an end of its answer")
            self.conversation.taken()
            if self._shaper is None:
                return events
            if shaped := self._shaper.feed(events):
                return shaped

    @property
    def reply(self) -> Message:
        """The assistant's message so far, in canonical form: text, then calls of the caller's
        tools, in the order in which they came."""
        text = "".join(self.said[self._text_from :])
        return Message("assistant", (*self._blocks, *((Text(text),) if text else ())))

    @property
    def cut(self) -> bool:
        """Whether the caller got less than the agent said: its history is then another."""
        return self._shaper is not None and self._shaper.cut

    @property
    def answered(self) -> bool:
        """Whether the agent has begun to answer, be it by thinking or by using a tool."""
        return self._first_seen

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return time.monotonic() - self.started

    @property
    def running(self) -> bool:
        """Whether the agent is still at it."""
        return not self._play.ended

    def give_up(self, error: ClinvkError) -> None:
        """Make the caller's next read raise `error`, e.g. because the daemon stops."""
        self._play.give_up(error)

    def stop_watching(self) -> None:
        """The caller is done with it: no budget applies any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _note(self, event: Event) -> None:
        match event:
            case Completed():
                self.completed = event
            case Opened(name, model):
                self.agent_session_id = name or self.agent_session_id
                self.model = model or self.model
            case Progress():
                pass
            case TokenUsage(usage):
                self.usage = usage
                self._first_seen = True
            case Request(identity, name, arguments):
                self._blocks = [*self.reply.content, ToolUse(identity, name, arguments)]
                self._text_from = len(self.said)
            case _:
                self._first_seen = True

    def _watch(self) -> None:
        """Look when the next budget would run out; one timer per turn, none per event."""
        now = time.monotonic()
        budgets = self._budgets
        # An agent that is not read, waits for a person, or whose first answer is not taken, is
        # not to blame.
        asking = self._play.asking
        alive = now if self.conversation.paused or asking else self._play.progress
        total = budgets.total + self._play.waited
        limits = [
            (self.started + total, f"the turn took longer than {budgets.total:g} s"),
            (alive + budgets.idle, f"the agent gave no sign of life for {budgets.idle:g} s"),
        ]
        if not self._first_seen and not self._play.backlog:
            text = f"the agent gave no answer within {budgets.first:g} s"
            limits.append((self.started + budgets.first, text))
        when, reason = min(limits)
        if when <= now:
            self._timer = None
            self.give_up(TurnTimeout(f"backend {self.prompt.backend!r}: {reason}"))
        else:
            # While a person is asked the limits move along with the time.
            pause = max(when - now, _LOOK_AGAIN) if asking else when - now
            self._timer = asyncio.get_running_loop().call_later(pause + 0.005, self._watch)
