"""Watchers of the live feed: what is told when, and what becomes of slow ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from clinvkd.keys import OWNER, SAME_USER, Caller
from clinvkd.live import LiveEvent, LiveFeed, LiveTurn, State, TurnEnded, TurnStarted, TurnText
from clinvkd.live.watcher import MOST_TEXT, MOST_WAITING, Watcher
from clinvkd.observation import observed
from clinvkd.pool import Pool, Turn

from .pool.driver import Many
from .pool.stage import LONG, backend, stage, told
from .pools import prompt

NOTHING = State(started=0, requests=0, backends=(), agents=())


@dataclass(frozen=True, slots=True)
class Running:
    """A turn of a real agent, and how it is watched."""

    live: LiveTurn
    turn: Turn


@asynccontextmanager
async def running(pool: Pool, feed: LiveFeed, **instruction: object) -> AsyncIterator[Running]:
    """A turn as the engine runs it."""
    asked = prompt(told(**instruction), client="alice")
    live = LiveTurn(asked, "native", None)
    with observed(asked, [partial(feed.ended, live)]) as watch:
        async with pool.turn(asked, LONG) as turn:
            watch(turn)
            feed.began(live, turn)
            yield Running(live, turn)


async def said(turn: Turn, characters: int) -> None:
    """Read on until the turn has said so much."""
    while sum(map(len, turn.said)) < characters:
        await anext(turn)


async def events(watcher: Watcher) -> list[LiveEvent]:
    """What a watcher gets at the next tick."""
    watcher.wake()
    return await anext(watcher)


def watcher_of(feed: LiveFeed, caller: Caller = SAME_USER, state: State = NOTHING) -> Watcher:
    return Watcher(caller, state, feed.turns.values())


async def test_pieces_between_two_ticks_are_told_together(tmp_path: Path) -> None:
    feed = LiveFeed(lambda: NOTHING)
    async with stage(backend(), tmp_path, Many) as pool, feed_watched(feed) as watcher:
        async with running(pool, feed, text="ab", chunks=20, then="hang") as one:
            assert await events(watcher) == [NOTHING, TurnStarted(one.live)]
            await said(one.turn, 40)
            assert len(one.turn.said) > 1
            assert await events(watcher) == [TurnText(one.live.id, "ab" * 20)]
        (ended,) = await events(watcher)
        assert isinstance(ended, TurnEnded)
        assert (ended.turn, ended.end.outcome) == (one.live, "interrupted")


async def test_text_waits_for_a_tick_that_tells_it_and_nothing_else_does(tmp_path: Path) -> None:
    feed = LiveFeed(lambda: NOTHING)
    busy = replace(NOTHING, requests=1)
    async with (
        stage(backend(), tmp_path, Many) as pool,
        running(pool, feed, text="ab", chunks=20, then="hang") as one,
    ):
        watcher = watcher_of(feed)
        assert await events(watcher) == [NOTHING, TurnStarted(one.live)]
        await said(one.turn, 40)
        watcher.look(busy)
        watcher.wake(texts=False)
        assert await anext(watcher) == [busy]
        assert await events(watcher) == [TurnText(one.live.id, "ab" * 20)]


async def test_a_slow_one_gets_the_newest_text_and_holds_nothing_up(tmp_path: Path) -> None:
    feed = LiveFeed(lambda: NOTHING)
    async with stage(backend(), tmp_path, Many) as pool, feed_watched(feed) as slow:
        async with running(pool, feed, text="0123456789", chunks=1000) as one:
            async for _ in one.turn:
                pass
        first, started, text, ended = await events(slow)
    assert (first, started) == (NOTHING, TurnStarted(one.live))
    assert isinstance(text, TurnText)
    assert text.text == ("0123456789" * 1000)[-MOST_TEXT:]
    assert text.dropped == 10_000 - MOST_TEXT
    assert isinstance(ended, TurnEnded)


async def test_one_that_is_too_far_behind_is_given_up(tmp_path: Path) -> None:
    feed = LiveFeed(lambda: NOTHING)
    async with (
        stage(backend(), tmp_path, Many) as pool,
        feed_watched(feed) as lost,
        running(pool, feed, text="x", then="hang") as one,
    ):
        for _ in range(MOST_WAITING):
            lost.started(one.live)
        assert len(await events(lost)) <= MOST_WAITING + 2
        with pytest.raises(StopAsyncIteration):
            await events(lost)


async def test_others_turns_are_not_told(tmp_path: Path) -> None:
    feed = LiveFeed(lambda: NOTHING)
    stranger = Caller("bob")
    async with (
        stage(backend(), tmp_path, Many) as pool,
        running(pool, feed, text="ab", then="hang") as one,
    ):
        await said(one.turn, 2)
        for caller, seen in ((stranger, False), (Caller("alice"), True), (OWNER, False)):
            told_ = await events(watcher_of(feed, caller))
            assert (TurnStarted(one.live) in told_) == seen
            assert (TurnText(one.live.id, "ab") in told_) == seen


async def test_a_state_is_told_again_only_when_it_is_another() -> None:
    feed = LiveFeed(lambda: NOTHING)
    watcher = watcher_of(feed)
    assert await events(watcher) == [NOTHING]
    watcher.look(replace(NOTHING))
    busy = replace(NOTHING, requests=1)
    waiting = asyncio.get_running_loop().create_task(events(watcher))
    await asyncio.sleep(0)
    assert not waiting.done()
    watcher.look(busy)
    watcher.wake()
    assert await waiting == [busy]


async def test_a_closed_feed_gives_what_there_is_and_ends() -> None:
    feed = LiveFeed(lambda: NOTHING)
    with feed.watch(SAME_USER) as before:
        feed.close()
        assert [told_ async for told_ in before] == [[NOTHING]]
    with feed.watch(SAME_USER) as after:
        assert [told_ async for told_ in after] == [[NOTHING]]
    assert not feed.ticking


@asynccontextmanager
async def feed_watched(feed: LiveFeed) -> AsyncIterator[Watcher]:
    with feed.watch(SAME_USER) as watcher:
        yield watcher
