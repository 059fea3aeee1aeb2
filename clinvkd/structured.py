"""Turns whose answer must be JSON of a given form: checked by us before anybody sees it.

The agent is asked for the form natively, but nothing is believed: the text is held back until it
is complete and validates. An answer that does not is repaired by one more turn that names the
fault; then the turn fails. So no caller ever gets invalid JSON with a success.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from .errors import BackendError, ClinvkError
from .events import Completed, Event, TextDelta, Usage
from .judging import Judge
from .pool import Turn
from .prompt import Message, OutputSchema, Prompt, Text

_REPAIR = (
    "Your answer does not have the form that was asked for: {fault}\n"
    "Answer again with nothing but one JSON value that this JSON Schema accepts:\n{schema}"
)

Run = Callable[[Prompt], AbstractAsyncContextManager[Turn]]


class StructuredTurn:
    """One or two turns that look like one.

    Attributes:
        prompt: what was asked.
        completed: the last event once it has come, else None.
        agent_session_id: the agent's own id of the conversation once told, else None.
        reply: the assistant's message, once there is one.
        failure: what it failed with, else None.
        when_completed: called once, as soon as the last event has come.
        before_end: called once, after these; what they begin is done before the last event is
            given to the caller.
    """

    def __init__(self, run: Run, prompt: Prompt, output: OutputSchema, judge: Judge) -> None:
        self.prompt = prompt
        self.completed: Completed | None = None
        self.agent_session_id: str | None = None
        self.reply = Message("assistant", ())
        self.failure: ClinvkError | None = None
        self.when_completed: list[Callable[[], None]] = []
        self.before_end: list[Callable[[], asyncio.Future[None]]] = []
        self._run = run
        self._output = output
        self._judge = judge
        self._started = time.monotonic()
        self._events = self._play()

    def __aiter__(self) -> StructuredTurn:
        return self

    async def __anext__(self) -> list[Event]:
        try:
            events = await anext(self._events)
        except ClinvkError as error:
            self.failure = error
            raise
        if self.completed is not None:
            for act in self.when_completed:
                act()
            for done in [begin() for begin in self.before_end]:
                await asyncio.shield(done)
        return events

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return time.monotonic() - self._started

    async def aclose(self) -> None:
        """The caller is done with it; a turn that still runs is interrupted."""
        await self._events.aclose()

    async def _play(self) -> AsyncGenerator[list[Event], None]:
        usage = Usage()
        prompt = self.prompt
        for last in (False, True):
            async with self._run(prompt) as turn:
                async for events in turn:
                    told: list[Event] = [
                        event for event in events if not isinstance(event, TextDelta | Completed)
                    ]
                    if told:
                        yield told
            self.agent_session_id = turn.agent_session_id
            completed = turn.completed
            assert completed is not None  # a turn ends with it or raises
            usage += completed.usage
            self.reply = turn.reply
            text = turn.reply.text
            exempt = _exempt(completed, turn.reply)
            fault = None if exempt else await self._judge.fault_of(text, self._output)
            if fault is None:
                self.completed = replace(completed, usage=usage)
                yield [*([TextDelta(text)] if text else []), self.completed]
                return
            if last:
                raise BackendError(
                    f"backend {prompt.backend!r}: the answer does not have the form that was"
                    f" asked for, also after it was asked again: {fault}"
                )
            again = _REPAIR.format(fault=fault, schema=json.dumps(self._output.schema))
            asked = (*prompt.messages, turn.reply, Message("user", (Text(again),)))
            prompt = replace(prompt, messages=asked)


@asynccontextmanager
async def structured(
    run: Run, prompt: Prompt, output: OutputSchema, judge: Judge
) -> AsyncIterator[StructuredTurn]:
    """A structured turn; leaving the context early interrupts the agent."""
    turn = StructuredTurn(run, prompt, output, judge)
    try:
        yield turn
    finally:
        await turn.aclose()


def _exempt(completed: Completed, reply: Message) -> bool:
    """An answer that was cut, refused, or is a call of the caller's tools, has no form to keep."""
    called = any(not isinstance(block, Text) for block in reply.content)
    return called or completed.stop_reason not in ("end_turn", "stop_sequence")
