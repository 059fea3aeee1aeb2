"""A turn: one prompt running in one conversation, as its caller sees it."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..errors import BackendError, ClinvkError, TurnTimeout
from ..events import Completed, Event, Opened, Progress, Request, TextDelta
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

    Iterating ends after the list whose last event is `Completed`, or raises a `ClinvkError`;
    only after every event before the failure was given.

    Attributes:
        prompt: what was asked.
        way: how the conversation was found.
        started: `time.monotonic()` of the begin.
        completed: the last event once it has come, else None.
        agent_session_id: the agent's own id of the conversation once told, else None.
        model: the agent's name of the model once told, else None.
        first_text_at: `time.monotonic()` of the first text once it was given, else None.
        failure: what it failed with, else None.
        when_completed: called once, as soon as the last event has come.
        before_end: called and awaited once, after these and before the last event is given to the
            caller: who answers it at once must find the conversation parked and recorded.
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
        self.first_text_at: float | None = None
        self.failure: ClinvkError | None = None
        self.when_completed: list[Callable[[], None]] = []
        self.before_end: list[Callable[[], Awaitable[None]]] = []
        self._play = play
        self._shaper = shaper
        self._text: list[str] = []
        self._blocks: list[Block] = []
        self._first_seen = False
        self._budgets = budgets
        self._timer: asyncio.TimerHandle | None = None
        self._watch()

    def __aiter__(self) -> Turn:
        return self

    async def __anext__(self) -> list[Event]:
        if self.completed is not None:
            raise StopAsyncIteration
        try:
            events = await self._batch()
        except ClinvkError as error:
            self.failure = error
            raise
        for event in events:
            if type(event) is TextDelta:
                self._text.append(event.text)
                if self.first_text_at is None:
                    self.first_text_at = time.monotonic()
                self._first_seen = True
            else:
                self._note(event)
        if type(events[-1]) is Completed:
            for act in self.when_completed:
                act()
            for finish in self.before_end:
                await finish()
        return events

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
        text = "".join(self._text)
        return Message("assistant", (*self._blocks, *((Text(text),) if text else ())))

    @property
    def cut(self) -> bool:
        """Whether the caller got less than the agent said: its history is then another."""
        return self._shaper is not None and self._shaper.cut

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
            case Request(identity, name, arguments):
                self._blocks = [*self.reply.content, ToolUse(identity, name, arguments)]
                self._text.clear()
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
