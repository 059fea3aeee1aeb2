"""A lane runs one of several prompts; a workflow runs lanes and gathers what they tell."""

from __future__ import annotations

import asyncio
import enum
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import structlog

from ..engine import Engine
from ..errors import Canceled, ClinvkError, InternalError, TurnTimeout
from ..events import Completed, Event, Opened, TextDelta
from ..prompt import Message, Prompt
from ..sessions import Keeping

READ_AHEAD = 64
"""Lists of events that may wait for the caller before the lanes wait too."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """What one lane tells.

    Attributes:
        lane: whose it is.
        events: what came in one read of the agent; empty when the lane failed.
        failure: how the lane ended when it did not complete; the last it tells.
    """

    lane: Lane
    events: list[Event]
    failure: ClinvkError | None = None


Tell: TypeAlias = Callable[[Told], Awaitable[None]]


class Outcome(enum.StrEnum):
    """How a lane ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


@dataclass(slots=True, eq=False, kw_only=True)
class Lane:
    """One prompt of several, and what came of it so far.

    Attributes:
        index: its place in the request, from 0.
        prompt: approved.
        name: what the caller calls it, or empty.
        judging: it judges the answers of the others.
        keeping: how the completed turn is kept.
        session_id: the session it is kept in, or None.
        seconds_allowed: most seconds it may take, or None for the daemon's own limit.
        outcome: how it ended; None before.
        reply: the answer, or the part of it that came before a failure.
        model: the agent's name of the model, where it told it.
        completed: the last event of a turn that completed.
        failure: why it did not.
        agent_session_id: the agent's own id of the conversation.
        seconds: how long it ran.
    """

    index: int
    prompt: Prompt
    name: str = ""
    judging: bool = False
    keeping: Keeping = field(default_factory=Keeping)
    session_id: str | None = None
    seconds_allowed: float | None = None
    outcome: Outcome | None = None
    reply: Message = field(default_factory=lambda: Message("assistant", ()))
    model: str | None = None
    completed: Completed | None = None
    failure: ClinvkError | None = None
    agent_session_id: str | None = None
    seconds: float = 0.0
    _started: float | None = None
    _last: list[Event] = field(default_factory=list)
    _last_told: bool = True

    @property
    def running_for(self) -> float:
        """Seconds it has run so far."""
        if self._started is None or self.outcome is not None:
            return self.seconds
        return time.monotonic() - self._started

    async def run(self, engine: Engine, tell: Tell) -> None:
        """Run the prompt; a failure is told and noted, never raised."""
        self._started = time.monotonic()
        limit = asyncio.timeout(self.seconds_allowed)
        try:
            async with limit:
                await self._turn(engine, tell)
        except ClinvkError as error:
            self.failure = error
        except TimeoutError:
            if not limit.expired():
                raise
            self._stopped(TurnTimeout(f"it took longer than {self.seconds_allowed:g} s"))
        except Exception:  # noqa: BLE001 - the other lanes are not to suffer for it
            _log.exception("lane failed", lane=self.index)
            self.failure = InternalError("an internal error occurred")
        finally:
            self.seconds = time.monotonic() - self._started
        self.outcome = Outcome.COMPLETED if self.failure is None else Outcome.FAILED
        await self._tell_end(tell)

    async def cancel(self, tell: Tell) -> None:
        """Tell that it will never complete, unless it had when it was stopped."""
        self._stopped(Canceled("canceled"))
        self.outcome = Outcome.COMPLETED if self.failure is None else Outcome.CANCELED
        await self._tell_end(tell)

    def _stopped(self, reason: ClinvkError) -> None:
        """Note why it was stopped, unless the turn had completed and only its end was untold."""
        if self.completed is None:
            self.failure = reason
        elif self.completed not in self._last:
            # Its end waited until the turn is recorded; with it the text, where that is checked.
            text = self.reply.text if self.prompt.output is not None else ""
            self._last = [*([TextDelta(text)] if text else []), self.completed]
            self._last_told = False

    async def _tell_end(self, tell: Tell) -> None:
        """Tell what was being told when it was stopped, then the failure."""
        if not self._last_told:
            await tell(Told(self, self._last))
        if self.failure is not None:
            await tell(Told(self, [], self.failure))

    async def _turn(self, engine: Engine, tell: Tell) -> None:
        async with engine.turn(self.prompt, self.keeping) as turn:
            try:
                async for events in turn:
                    for event in events:
                        if isinstance(event, Opened) and event.model is not None:
                            self.model = event.model
                    self._last, self._last_told = events, False
                    await tell(Told(self, events))
                    self._last_told = True
            finally:
                self.reply = turn.reply
                self.completed = turn.completed
                self.agent_session_id = turn.agent_session_id


class Workflow(ABC):
    """Lanes of one request.

    Attributes:
        lanes: all that may run, in the order of the request.
    """

    def __init__(self, engine: Engine, lanes: list[Lane]) -> None:
        self.lanes = lanes
        self._engine = engine
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return time.monotonic() - self._started

    @abstractmethod
    async def play(self, tell: Tell) -> None:
        """Run the lanes to their end."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[AsyncIterator[Told]]:
        """What the lanes tell, as they tell it; leaving early interrupts them."""
        queue: asyncio.Queue[Told | Exception | None] = asyncio.Queue(READ_AHEAD)

        async def play() -> None:
            try:
                await self.play(queue.put)
            except Exception as defect:  # noqa: BLE001 - raised where the lanes are read
                await queue.put(defect)
            await queue.put(None)

        task = asyncio.get_running_loop().create_task(play(), name="workflow")
        try:
            yield _read(queue)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _read(queue: asyncio.Queue[Told | Exception | None]) -> AsyncIterator[Told]:
    while (told := await queue.get()) is not None:
        if isinstance(told, Exception):
            raise told
        yield told
