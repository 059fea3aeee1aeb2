"""The claude driver for callers of the Messages API: events passed on, reasoning both ways."""

from __future__ import annotations

from typing import Any

import pytest

from clinvkd.drivers.claude.lines import content_of
from clinvkd.errors import BackendRefused
from clinvkd.events import Completed, Event, MessagesApiEvent, TextDelta, ThinkingDelta
from clinvkd.prompt import Audio, Message, OutputSchema, Sampling, Text, Thinking

from .claude_lines import (
    asked,
    block,
    ended,
    event,
    recorded,
    requests,
    result,
    said,
    script,
    started,
)
from .playing import play

RAW: dict[str, Any] = {"raw_events": True}


def passed_on(events: list[Event]) -> list[dict[str, Any]]:
    return [one.event for one in events if isinstance(one, MessagesApiEvent)]


def test_events_are_passed_on_as_they_came() -> None:
    lines = recorded("01_oneshot")
    prompt = asked("hi", **RAW)
    played = play(script(prompt).turn(prompt), lines)
    sent = [line["event"] for line in lines if line["type"] == "stream_event"]
    assert passed_on(played.events) == sent
    assert sent[0]["type"] == "message_start"
    neutral = [one for one in played.events if not isinstance(one, MessagesApiEvent)]
    plain = asked("hi")
    assert neutral == play(script(plain).turn(plain), lines).events


def test_an_event_comes_before_what_it_says() -> None:
    prompt = asked("hi", **RAW)
    events = play(script(prompt).turn(prompt), [started(), block(), said("a")]).events
    assert isinstance(events[-2], MessagesApiEvent)
    assert events[-1] == TextDelta("a")


def test_only_who_wants_them_gets_them() -> None:
    prompt = asked("hi")
    lines = [started(), block(), said("a"), ended("end_turn"), result()]
    assert passed_on(play(script(prompt).turn(prompt), lines).events) == []


def test_those_of_a_subagent_are_not_passed_on() -> None:
    prompt = asked("hi", **RAW)
    inner = event("content_block_delta", parent="t1", index=0, delta={"type": "x"})
    assert passed_on(play(script(prompt).turn(prompt), [inner]).events) == []


def test_a_structured_answer_is_told_as_text_alone() -> None:
    prompt = asked("hi", output=OutputSchema({"type": "object"}), **RAW)
    assert passed_on(play(script(prompt).turn(prompt), [started()]).events) == []


def test_nothing_is_passed_on_once_the_agent_was_stopped() -> None:
    prompt = asked("hi", **RAW)
    lines = [started(), block(), said("a"), ended("max_tokens")]
    again = [event("message_start", message={"usage": {}}), block(), said("more")]
    events = play(script(prompt).turn(prompt), [*lines, *again, result(is_error=True)]).events
    assert passed_on(events) == [line["event"] for line in lines]
    assert isinstance(events[-1], Completed)
    assert events[-1].stop_reason == "max_tokens"


def test_reasoning_is_told_in_both_forms() -> None:
    prompt = asked("hi", **RAW)
    thought = event(
        "content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm"}
    )
    events = play(script(prompt).turn(prompt), [started(), block("thinking"), thought]).events
    assert events[-2:] == [MessagesApiEvent(thought["event"]), ThinkingDelta("hm")]


def test_a_limit_of_reasoning_is_set_and_taken_back() -> None:
    limited = asked("hi", sampling=Sampling(thinking_tokens=2048))
    conversation = script()
    assert requests(play(conversation.bind(limited))) == [
        {"subtype": "set_max_thinking_tokens", "max_thinking_tokens": 2048}
    ]
    assert requests(play(conversation.turn(limited))) == []
    conversation = script(limited)
    assert requests(play(conversation.turn(asked("more")))) == [
        {"subtype": "set_max_thinking_tokens", "max_thinking_tokens": None}
    ]
    off = asked("hi", sampling=Sampling(thinking_tokens=0))
    assert requests(play(script().bind(off)))[0]["max_thinking_tokens"] == 0


def test_reasoning_handed_back_names_the_model_of_the_conversation() -> None:
    question = Message("user", (Text("one"),))
    thoughtful = Message("assistant", (Thinking("hm", "c2ln"), Text("two")))
    hidden = Message("assistant", (Thinking("", "c2VjcmV0", redacted=True), Text("four")))
    plain = Message("assistant", (Text("six"),))
    history = (question, thoughtful, question, hidden, question, plain)
    init = {"type": "system", "subtype": "init", "model": "claude-opus-4-8[1m]"}
    played = play(script().seed(history), [init, result()] * 3)
    assert played.finished
    first, second, third = [line["message"] for line in played.sent if line["type"] == "assistant"]
    assert first["model"] == second["model"] == "claude-opus-4-8"
    assert "model" not in third
    assert first["content"][0] == {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    assert second["content"][0] == {"type": "redacted_thinking", "data": "c2VjcmV0"}


def test_a_recording_is_refused() -> None:
    with pytest.raises(BackendRefused, match="takes no audio") as caught:
        content_of((Message("user", (Text("hear"), Audio("audio/wav", "QUJD"))),))
    assert caught.value.param == "messages"
