"""What is told of a turn whose agent passes the provider's events on, without an agent."""

from __future__ import annotations

from typing import Any

import pytest

from clinvkd.api.anthropic.narration import Narration
from clinvkd.events import Completed, Event, MessagesApiEvent, TextDelta, Usage

from .talk import add_up, text_of

USAGE = {"input_tokens": 5, "output_tokens": 1}


def raw(kind: str, **members: Any) -> MessagesApiEvent:
    return MessagesApiEvent({"type": kind, **members})


def started(name: str = "msg_1") -> MessagesApiEvent:
    message: dict[str, Any] = {
        "id": name, "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": USAGE,
    }  # fmt: skip
    return raw("message_start", message=message)


def block(index: int, kind: str, **delta: str) -> list[Event]:
    empty = {"type": kind, kind: ""}
    return [
        raw("content_block_start", index=index, content_block=empty),
        raw("content_block_delta", index=index, delta={"type": f"{kind}_delta", **delta}),
        raw("content_block_stop", index=index),
    ]


def ended(reason: str, output: int = 9) -> MessagesApiEvent:
    delta = {"stop_reason": reason, "stop_sequence": None, "stop_details": {"why": "x"}}
    return raw("message_delta", delta=delta, usage={"output_tokens": output})


def told(*events: Event, thinking: bool = False) -> list[dict[str, Any]]:
    narration = Narration("asked", thinking=thinking, input_tokens=3)
    parts = [part for event in events for part in narration.tell(event)]
    message, error = add_up(parts)
    assert (message, error) == (narration.message, None)
    return parts


@pytest.mark.parametrize(
    ("reason", "neutral"),
    [
        ("end_turn", "end_turn"),
        ("max_tokens", "max_tokens"),
        ("model_context_window_exceeded", "max_tokens"),
        ("refusal", "refusal"),
    ],
)
def test_the_providers_end_is_kept_whole(reason: str, neutral: Any) -> None:
    end = ended(reason)
    parts = told(started(), *block(0, "text", text="a"), end, Completed(neutral))
    assert parts[-2] == end.event


def test_an_end_that_does_not_fit_is_ours() -> None:
    usage = Usage(input_tokens=5, output_tokens=7)
    parts = told(
        started(), *block(0, "text", text="a"), ended("tool_use"), Completed("max_turns", usage)
    )
    assert parts[-2]["delta"] == {"stop_reason": "pause_turn", "stop_sequence": None}
    assert parts[-2]["usage"]["output_tokens"] == 7


def test_several_messages_are_one_that_costs_what_all_do() -> None:
    usage = Usage(input_tokens=10, output_tokens=18)
    parts = told(
        started("msg_1"), *block(0, "text", text="a"), ended("tool_use"),
        started("msg_2"), *block(0, "thinking", thinking="hm"), *block(1, "text", text="b"),
        ended("end_turn"), Completed("end_turn", usage), thinking=True,
    )  # fmt: skip
    message, _ = add_up(parts)
    assert message["id"] == "msg_1"
    assert [one["type"] for one in message["content"]] == ["text", "thinking", "text"]
    assert message["usage"]["output_tokens"] == 18


def test_text_is_told_once() -> None:
    first, delta, last = block(0, "text", text="a")
    parts = told(started(), first, delta, TextDelta("a"), last, ended("end_turn"), Completed())
    assert text_of(add_up(parts)[0]) == "a"


def test_what_the_agent_says_itself_after_an_empty_message_is_told() -> None:
    parts = told(started(), ended("end_turn"), TextDelta("I could not."), Completed())
    assert text_of(add_up(parts)[0]) == "I could not."
    assert parts[0]["message"]["id"] == "msg_1"


def test_an_answer_without_anything_is_a_message_too() -> None:
    parts = told(Completed())
    assert [part["type"] for part in parts] == ["message_start", "message_delta", "message_stop"]
