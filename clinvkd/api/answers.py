"""Several turns of one request at once, as `n` asks for, and whole answers of turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

from ..engine import AnyTurn, Engine
from ..errors import ClinvkError
from ..events import Completed, Event, Opened, ThinkingDelta
from ..prompt import Prompt, ToolUse

Merged: TypeAlias = AsyncIterator[tuple[int, list[Event]]]
"""The events of several turns, each list with the index of its turn."""

_READ_AHEAD = 64  # lists of events that may wait for the caller before the turns wait too


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole turn.

    Attributes:
        text: the answer.
        thinking: the visible reasoning.
        calls: of the caller's tools, in order.
        model: the agent's name of the model, where it told it.
        completed: how it ended.
    """

    text: str
    thinking: str
    calls: tuple[ToolUse, ...]
    model: str | None
    completed: Completed


async def whole(turn: AnyTurn) -> Answer:
    """Wait for the end of a turn.

    Raises:
        ClinvkError: it failed.
    """
    thinking: list[str] = []
    model = None
    async for events in turn:
        for event in events:
            match event:
                case ThinkingDelta(text):
                    thinking.append(text)
                case Opened(model=str(name)):
                    model = name
    assert turn.completed is not None  # a turn ends with it or raises
    reply = turn.reply
    calls = tuple(block for block in reply.content if isinstance(block, ToolUse))
    return Answer(reply.text, "".join(thinking), calls, model, turn.completed)


async def whole_all(engine: Engine, prompts: Sequence[Prompt]) -> list[Answer]:
    """Run prompts at once; their answers in order.

    Raises:
        ClinvkError: of the first that failed; the others are interrupted.
    """

    async def one(prompt: Prompt) -> Answer:
        async with engine.turn(prompt, dialect="openai") as turn:
            return await whole(turn)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(prompt)) for prompt in prompts]
    except BaseExceptionGroup as failures:
        raise _first(failures) from None
    return [task.result() for task in tasks]


@asynccontextmanager
async def merged(engine: Engine, prompts: Sequence[Prompt]) -> AsyncIterator[Merged]:
    """Run prompts at once; the events of each with its index, as they come.

    Iterating raises the `ClinvkError` of the first turn that fails; leaving the context
    interrupts those that still run.
    """
    if len(prompts) == 1:  # the usual case needs neither a task nor a queue
        async with engine.turn(prompts[0], dialect="openai") as turn:
            yield _only(turn)
        return
    queue: asyncio.Queue[tuple[int, list[Event] | ClinvkError]] = asyncio.Queue(_READ_AHEAD)

    async def one(index: int, prompt: Prompt) -> None:
        try:
            async with engine.turn(prompt, dialect="openai") as turn:
                async for events in turn:
                    await queue.put((index, events))
        except ClinvkError as error:
            await queue.put((index, error))

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(index, each)) for index, each in enumerate(prompts)]
            yield _drain(queue, len(prompts))
            for task in tasks:
                task.cancel()
    except BaseExceptionGroup as failures:  # what ended the body is no group outside
        raise _first(failures) from None


async def _only(turn: AnyTurn) -> Merged:
    async for events in turn:
        yield 0, events


async def _drain(
    queue: asyncio.Queue[tuple[int, list[Event] | ClinvkError]], running: int
) -> Merged:
    while running:
        index, events = await queue.get()
        if isinstance(events, ClinvkError):
            raise events
        yield index, events
        running -= isinstance(events[-1], Completed)


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
