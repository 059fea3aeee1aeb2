"""An exchange being played, without any process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from clinvkd.drivers.base import RECEIVE, Exchange, Json, Receive, Send, WriteFile
from clinvkd.errors import BackendError, TurnTimeout
from clinvkd.events import Event, Request, TextDelta, ToolCall
from clinvkd.pool.play import Play, write_private

from .stage import PATIENCE, beside


def echo() -> Exchange[None]:
    """Gives back what it receives, until it receives nothing."""
    yield Send({"ready": True})
    while message := (yield RECEIVE):
        yield TextDelta(message["text"])


def after_a_file(path: Path) -> Exchange[None]:
    yield WriteFile(path, b"content")
    yield from echo()


def playing(exchange: Exchange[None]) -> tuple[Play, list[Json]]:
    sent: list[Json] = []
    return Play(exchange, sent.append), sent


async def test_events_come_in_lists_as_they_came(tmp_path: Path) -> None:
    play, sent = playing(echo())
    assert sent == []
    play.start()
    assert sent == [{"ready": True}]
    play.feed({"text": "a"})
    play.feed({"text": "b"})
    assert play.backlog == 2
    assert await play.batch() == [TextDelta("a"), TextDelta("b")]
    play.feed({"text": "c"})
    play.feed({})
    play.feed({"text": "too late"})
    assert play.ended
    assert await play.batch() == [TextDelta("c")]
    assert await play.batch() == []


async def test_numbers_that_json_cannot_hold_are_given_to_nobody() -> None:
    def calling() -> Exchange[None]:
        odd = {"x": float("nan"), "y": [float("inf"), -float("inf"), 1.5, 10**30, "NaN"]}
        yield ToolCall("1", "t", odd)
        yield Request("2", "t", odd)
        yield ToolCall("3", "t")

    play, _ = playing(calling())
    play.start()
    whole = {"x": None, "y": [None, None, 1.5, 10**30, "NaN"]}
    told = [ToolCall("1", "t", whole), Request("2", "t", whole), ToolCall("3", "t")]
    assert await play.batch() == told


async def test_what_comes_before_the_start_is_not_lost() -> None:
    play, sent = playing(echo())
    play.feed({"text": "early"})
    assert sent == []
    play.start()
    assert await play.batch() == [TextDelta("early")]


async def test_a_silence_can_be_told() -> None:
    def listening() -> Exchange[None]:
        while (message := (yield Receive(within=0.01))) is not None:
            yield TextDelta(message["text"])
        yield TextDelta("silence")
        yield RECEIVE

    play, _ = playing(listening())
    play.start()
    play.feed({"text": "a"})
    assert await play.batch() == [TextDelta("a")]
    assert await play.batch() == [TextDelta("silence")]
    assert not play.ended


async def test_a_silence_after_the_end_is_nothing() -> None:
    def listening() -> Exchange[None]:
        yield Receive(within=0.001)
        raise AssertionError("it was closed")

    play, _ = playing(listening())
    play.start()
    play.fail(BackendError("gone"))
    await asyncio.sleep(0.01)
    with pytest.raises(BackendError, match="gone"):
        await play.batch()


async def test_a_failure_before_the_start_stays() -> None:
    play, sent = playing(echo())
    play.fail(BackendError("gone"))
    play.start()
    assert sent == []
    with pytest.raises(BackendError, match="gone"):
        await play.finish()


async def test_an_error_comes_after_the_events_before_it() -> None:
    play, _ = playing(echo())
    play.start()
    play.feed({"text": "a"})
    play.feed({"no": "text"})
    assert play.ended
    assert await play.batch() == [TextDelta("a")]
    for _ in range(2):
        with pytest.raises(BackendError, match="not understood"):
            await play.batch()


async def test_a_waiter_is_woken_by_an_end_from_outside() -> None:
    play, _ = playing(echo())
    play.start()
    async with beside(play.batch()) as [task], asyncio.timeout(PATIENCE):
        await asyncio.sleep(0)
        play.fail(BackendError("gone"))
        play.fail(BackendError("and again"))
        with pytest.raises(BackendError, match="gone"):
            await task


async def test_given_up_it_goes_on_for_who_waits_for_its_end() -> None:
    play, _ = playing(echo())
    play.start()
    play.feed({"text": "a"})
    play.give_up(TurnTimeout("late"))
    assert await play.batch() == [TextDelta("a")]
    with pytest.raises(TurnTimeout):
        await play.batch()
    assert not play.ended
    async with beside(play.finish()) as [task], asyncio.timeout(PATIENCE):
        await asyncio.sleep(0)
        play.feed({"text": "nobody reads it"})
        assert play.backlog == 0
        play.feed({})
        await task


async def test_messages_wait_while_a_file_is_written(tmp_path: Path) -> None:
    play, sent = playing(after_a_file(path := tmp_path / "a" / "b" / "file"))
    play.start()
    play.feed({"text": "a"})
    play.feed({"text": "b"})
    assert (sent, play.backlog) == ([], 0)
    events: list[Event] = []
    async with asyncio.timeout(PATIENCE):
        while len(events) < 2:
            events += await play.batch()
    assert events == [TextDelta("a"), TextDelta("b")]
    assert path.read_bytes() == b"content"


async def test_an_exchange_may_end_while_its_file_is_written(tmp_path: Path) -> None:
    play, sent = playing(after_a_file(path := tmp_path / "file"))
    play.start()
    play.fail(BackendError("gone"))
    async with asyncio.timeout(PATIENCE):
        while not path.exists() or path.read_bytes() != b"content":  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
    assert sent == []
    assert str(play.error) == "gone"


async def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    play, _ = playing(after_a_file(tmp_path / "file" / "below"))
    play.start()
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(BackendError, match="could not be written"):
            await play.batch()


async def test_a_cancelled_write_goes_nowhere(tmp_path: Path) -> None:
    play, sent = playing(after_a_file(tmp_path / "file"))
    cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    cancelled.cancel()
    play._file_written(cancelled)
    assert sent == []


async def test_a_message_that_cannot_be_written_fails_the_turn_only() -> None:
    def refuse(message: Json) -> None:
        raise ValueError("no JSON")

    play = Play(echo(), refuse)
    play.start()
    with pytest.raises(BackendError, match="no JSON"):
        await play.batch()


def test_private_files_are_for_nobody_else(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "file"
    write_private(file, b"one")
    write_private(file, b"two")
    assert file.read_bytes() == b"two"
    modes = [oct(path.stat().st_mode & 0o777) for path in (file, file.parent, tmp_path / "a")]
    assert modes == ["0o600", "0o700", "0o700"]
    write_private(file, None)
    assert not file.exists()
    write_private(file, None)
    write_private(tmp_path / "a", None)
    assert not (tmp_path / "a").exists()
