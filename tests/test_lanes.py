"""Lanes that are stopped while their caller reads slowly: what they have said is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from clinvkd.errors import BackendError, Canceled, ClinvkError, TurnTimeout
from clinvkd.events import Completed, Event, TextDelta
from clinvkd.prompt import Message, OutputSchema, Prompt, Text
from clinvkd.workflows import Chain, Compare, Lane, Outcome, Parallel, Placeholders, Step, Told

PATIENCE = 30.0
DONE = Completed()


@dataclass
class Script:
    """What a turn does: it says each list, then fails or waits until its end is recorded."""

    lists: list[list[Event]] = field(default_factory=list)
    fails: ClinvkError | None = None
    end: list[Event] = field(default_factory=list)
    recorded: asyncio.Event = field(default_factory=asyncio.Event)


class ScriptedTurn:
    def __init__(self, script: Script) -> None:
        self._script = script
        self._text = ""
        self.completed: Completed | None = None
        self.agent_session_id = None

    @property
    def reply(self) -> Message:
        return Message("assistant", (Text(self._text),) if self._text else ())

    async def __aiter__(self) -> AsyncIterator[list[Event]]:
        for events in self._script.lists:
            self._take(events)
            yield events
        if self._script.fails is not None:
            raise self._script.fails
        if self._script.end:
            self._take(self._script.end)
            await self._script.recorded.wait()
            yield self._script.end

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, TextDelta):
                self._text += event.text
            elif isinstance(event, Completed):
                self.completed = event


class ScriptedEngine:
    """Turns by the name of their backend."""

    def __init__(self, **scripts: Script) -> None:
        self._scripts = scripts

    def room(self, _: str) -> int:
        return 100

    @asynccontextmanager
    async def turn(self, prompt: Prompt, _: object) -> AsyncIterator[ScriptedTurn]:
        yield ScriptedTurn(self._scripts[prompt.backend])


class Caller:
    """Takes what lanes tell; what it is not ready for waits until `read`.

    Args:
        waits: for what it is not ready.
    """

    def __init__(self, waits: Callable[[Told], bool]) -> None:
        self.told: list[Told] = []
        self._waits = waits
        self._ready = asyncio.Event()
        self.asked: asyncio.Queue[Lane] = asyncio.Queue()

    async def tell(self, told: Told) -> None:
        if self._waits(told) and not self._ready.is_set():
            self.asked.put_nowait(told.lane)
            await self._ready.wait()
        self.told.append(told)

    def read(self) -> None:
        self._ready.set()

    def of(self, lane: Lane) -> list[Any]:
        """Texts, the end and the failure of a lane, in the order in which they were told."""
        found: list[Any] = []
        for told in self.told:
            if told.lane is lane:
                found += [e.text if isinstance(e, TextDelta) else e for e in told.events]
                found += [] if told.failure is None else [type(told.failure)]
        return found


def lane(backend: str, index: int = 0, **fields: Any) -> Lane:
    prompt = Prompt(backend=backend, messages=(Message("user", (Text("x"),)),))
    return Lane(index=index, prompt=prompt, **fields)


def engine(**scripts: Script) -> Any:
    return ScriptedEngine(**scripts)


def fails_fast(lanes: list[Lane], scripts: Any) -> Parallel:
    return Parallel(scripts, lanes, most=len(lanes), fail_fast=True)


@pytest.fixture(autouse=True)
async def patience() -> AsyncIterator[None]:
    async with asyncio.timeout(PATIENCE):
        yield


async def test_two_failures_at_once_are_both_told() -> None:
    scripts = engine(bad=Script(fails=BackendError("broken")))
    lanes = [lane("bad", 0), lane("bad", 1)]
    caller = Caller(lambda told: told.lane is lanes[1])
    await fails_fast(lanes, scripts).play(_reading_after(lanes[0], caller))
    assert [caller.of(each) for each in lanes] == [[BackendError], [BackendError]]
    assert [each.outcome for each in lanes] == [Outcome.FAILED] * 2


async def test_what_a_stopped_lane_was_telling_is_told() -> None:
    said: list[Event] = [TextDelta("not lost")]
    scripts = engine(bad=Script(fails=BackendError("broken")), good=Script([said]))
    lanes = [lane("good", 0), lane("bad", 1)]
    caller = Caller(lambda told: told.events == said)
    await fails_fast(lanes, scripts).play(_reading_after(lanes[1], caller))
    assert caller.of(lanes[0]) == ["not lost", Canceled]
    assert lanes[0].reply.text == "not lost"
    assert lanes[0].outcome is Outcome.CANCELED


def _reading_after(first: Lane, caller: Caller) -> Callable[[Told], Any]:
    """The caller takes the failure of `first`, which stops the others, when another one waits."""

    async def tell(told: Told) -> None:
        if told.lane is first:
            await caller.asked.get()
            caller.told.append(told)
            asyncio.get_running_loop().call_soon(caller.read)
        else:
            await caller.tell(told)

    return tell


async def test_a_turn_that_had_completed_is_told_as_completed() -> None:
    end: list[Event] = [TextDelta("all"), DONE]
    scripts = engine(bad=Script(fails=BackendError("broken")), good=Script([end]))
    lanes = [lane("good", 0), lane("bad", 1)]
    caller = Caller(lambda told: told.events == end)
    await fails_fast(lanes, scripts).play(_reading_after(lanes[1], caller))
    assert caller.of(lanes[0]) == ["all", DONE]
    assert (lanes[0].outcome, lanes[0].failure) == (Outcome.COMPLETED, None)


@pytest.mark.parametrize("last", [[TextDelta("b")], [TextDelta("b"), DONE]], ids=["text", "end"])
async def test_time_that_runs_out_while_the_caller_does_not_read(last: list[Event]) -> None:
    first: list[Event] = [TextDelta("a")]
    one = lane("good", seconds_allowed=0.01)
    told: list[Told] = []
    asked = 0

    async def tell(each: Told) -> None:
        nonlocal asked
        asked += each.events == last
        if each.events == last and asked == 1:
            await asyncio.Event().wait()  # until the time is over
        told.append(each)

    await one.run(engine(good=Script([first, last])), tell)
    events = [event for each in told for event in each.events]
    assert events == [*first, *last]
    assert one.reply.text == "ab"
    completed = DONE in last
    assert one.outcome is (Outcome.COMPLETED if completed else Outcome.FAILED)
    failures = [type(each.failure) for each in told if each.failure is not None]
    assert failures == ([] if completed else [TurnTimeout])


@pytest.mark.parametrize("checked", [False, True])
async def test_time_that_runs_out_while_the_turn_is_recorded(checked: bool) -> None:
    """The text of a checked answer comes with the end, else it was told before."""
    one = lane("good", seconds_allowed=0.01)
    end: list[Event] = [TextDelta("text"), DONE] if checked else [DONE]
    script = Script([] if checked else [[TextDelta("text")]], end=end)
    if checked:
        one.prompt = replace(one.prompt, output=OutputSchema({}))
    caller = Caller(lambda _: False)
    await one.run(engine(good=script), caller.tell)
    assert caller.of(one) == ["text", DONE]
    assert (one.outcome, one.failure) == (Outcome.COMPLETED, None)


async def test_a_lane_that_is_stopped_after_its_end_was_told_ends_once() -> None:
    """The end was told, and the turn still clears up."""
    end: list[Event] = [TextDelta("all"), DONE]

    class Lingering(ScriptedEngine):
        @asynccontextmanager
        async def turn(self, prompt: Prompt, keeping: object) -> AsyncIterator[ScriptedTurn]:
            async with super().turn(prompt, keeping) as turn:
                yield turn
                await asyncio.Event().wait()

    one = lane("good", seconds_allowed=0.01)
    caller = Caller(lambda _: False)
    lingering: Any = Lingering(good=Script([end]))
    await one.run(lingering, caller.tell)
    assert caller.of(one) == ["all", DONE]
    assert one.outcome is Outcome.COMPLETED


async def test_steps_and_comparisons_lose_nothing_either() -> None:
    said: list[Event] = [TextDelta("half")]
    stuck: set[Lane] = set()
    told: list[Told] = []

    async def tell(each: Told) -> None:
        if each.events == said and each.lane not in stuck:
            stuck.add(each.lane)
            await asyncio.Event().wait()
        told.append(each)

    steps = [lane("good", n, seconds_allowed=0.01) for n in range(2)]
    named = Placeholders([Step("", "x"), Step("", "x")], None)
    await Chain(engine(good=Script([said])), steps, named).play(tell)
    compared = [lane("good", n, seconds_allowed=0.01) for n in range(2)]
    await Compare(engine(good=Script([said])), compared, most=2).play(tell)
    for each in (*steps, *compared):
        assert [t.events or type(t.failure) for t in told if t.lane is each] == [said, TurnTimeout]
