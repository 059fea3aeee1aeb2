"""Stop texts and limits that the agent does not know, for any way its answer comes in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinvkd.events import Completed, Event, Opened, TextDelta, ThinkingDelta, TokenUsage, Usage
from clinvkd.prompt import Message, Prompt, Sampling, Text
from clinvkd.shaping import BYTES_PER_TOKEN, Shaper

from .pool.stage import LONG, backend, everything, stage, until
from .pools import prompt

PROMPT = Prompt(backend="x", messages=(Message("user", (Text("12345678"),)),))
END = Completed("end_turn", Usage(input_tokens=5, output_tokens=7))


def shape(
    pieces: Sequence[str], stop: Sequence[str] = (), most: int | None = None
) -> tuple[list[str], Completed, bool]:
    """The texts the caller gets, the end, and whether it was ours; each piece is a read."""
    shaper = Shaper(PROMPT, stop, most)
    texts: list[str] = []
    events: list[Event] = [*map(TextDelta, pieces), END]
    for event in events:
        for shaped in shaper.feed([event]):
            match shaped:
                case TextDelta(text):
                    assert text
                    texts.append(text)
                case Completed():
                    return texts, shaped, shaper.cut
    raise AssertionError("no end")


def cut(text: str, stop: Sequence[str]) -> tuple[str, str | None]:
    """What must come out, found in the simplest way."""
    found = [(text.find(each), each) for each in stop if each and each in text]
    return (text[: min(found)[0]], min(found)[1]) if found else (text, None)


@given(
    st.lists(st.text("ab\n é", min_size=1, max_size=4), max_size=12),
    st.lists(st.text("ab\n é", max_size=4), max_size=3),
)
def test_the_answer_ends_before_the_first_stop_text(pieces: list[str], stop: list[str]) -> None:
    texts, end, ours = shape(pieces, stop)
    wanted, stopped_by = cut("".join(pieces), stop)
    # Of two stop texts that begin at one place, either may come to be whole first.
    assert "".join(texts) == wanted
    assert ours == (stopped_by is not None)
    if ours:
        assert end.stop_reason == "stop_sequence"
        assert end.stop_sequence in stop
    else:
        assert end == END


@given(st.lists(st.text("aé€😀", min_size=1, max_size=5), max_size=10), st.integers(1, 6))
def test_a_limit_counts_bytes_and_breaks_no_character(pieces: list[str], most: int) -> None:
    texts, end, ours = shape(pieces, most=most)
    whole = "".join(pieces)
    data = whole.encode()
    budget = most * BYTES_PER_TOKEN
    assert "".join(texts) == data[:budget].decode(errors="ignore")
    assert ours == (len(data) > budget)
    assert end.stop_reason == ("max_tokens" if ours else "end_turn")


def test_text_that_can_no_longer_become_a_stop_text_is_not_held() -> None:
    shaper = Shaper(PROMPT, ["stop"], None)
    assert shaper.feed([TextDelta("a st")]) == [TextDelta("a ")]
    assert shaper.feed([TextDelta("o")]) == []
    assert shaper.feed([TextDelta("ry")]) == [TextDelta("story")]


def test_what_was_held_is_told_at_the_end() -> None:
    assert shape(["a st", "o"], ["stop"])[0] == ["a ", "sto"]


def test_held_text_that_is_too_much_ends_the_answer_by_the_limit() -> None:
    texts, end, ours = shape(["abc", "defg"], ["efgh"], 1)
    assert "".join(texts) == "abcd"
    assert (end.stop_reason, ours) == ("max_tokens", True)
    assert end.usage == END.usage


def test_nothing_comes_after_our_end() -> None:
    shaper = Shaper(PROMPT, ["x"], None)
    events: list[Event] = [TextDelta("a x b"), TextDelta("c"), END]
    shaped = shaper.feed(events)
    assert shaped[0] == TextDelta("a ")
    assert isinstance(shaped[-1], Completed)
    assert len(shaped) == 2


def test_other_events_pass() -> None:
    shaper = Shaper(PROMPT, ["x"], 100)
    events: list[Event] = [Opened("id"), ThinkingDelta("x"), TokenUsage(Usage(input_tokens=3))]
    assert shaper.feed(events) == events
    assert shaper.feed([END]) == [END]
    assert not shaper.cut


@pytest.mark.parametrize("told", [None, Usage(input_tokens=30, output_tokens=9, cached_tokens=20)])
def test_usage_of_a_cut_answer_is_what_was_told_or_an_estimate(told: Usage | None) -> None:
    shaper = Shaper(PROMPT, ["x"], None)
    events: list[Event] = [] if told is None else [TokenUsage(told)]
    *_, end = shaper.feed([*events, TextDelta("12345678901234567890x")])
    assert isinstance(end, Completed)
    assert end.usage == (told or Usage(input_tokens=2, output_tokens=5))


def test_a_long_stop_text_and_a_long_answer() -> None:
    stop = "ab" * 500 + "!"
    texts, _, ours = shape(["ab" * 50] * 200, [stop])
    assert "".join(texts) == "ab" * 10_000
    assert not ours


async def test_a_conversation_that_holds_more_than_was_told_is_not_kept(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path) as pool:
        for stop, kept in (("two", 0), ("four", 1)):
            asked = prompt("one two three", sampling=Sampling(stop=(stop,)))
            async with pool.turn(asked, LONG) as turn:
                # Then all it said, and its end, come as one.
                await until(lambda turn=turn: not turn.running)  # type: ignore[misc]
                events: list[Event] = []
                await everything(turn, events)
            assert turn.reply.text == "one two three".partition(stop)[0]
            assert pool.figures().parked == kept
