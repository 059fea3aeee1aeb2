"""What is held of sessions in memory, and what goes first."""

from __future__ import annotations

import pytest

from clinvkd.prompt import (
    Audio,
    Document,
    Image,
    Message,
    Prompt,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)
from clinvkd.sessions import HeldSessions, Session


def user(text: str) -> Message:
    return Message("user", (Text(text),))


def session(name: str, *messages: Message, client: str = "") -> Session:
    asked = messages or (user(name),)
    return Session(
        id=name,
        owner=client,
        prompt=Prompt(backend="echo", messages=asked, client=client),
        messages=asked,
    )


def test_what_was_put_is_held() -> None:
    held = HeldSessions()
    held.put(session("a", client="me"))
    assert held.use("a", "me") is held.peek("a") is not None
    assert held.use("a", "") is held.use("b", "me") is held.peek("b") is None
    held.drop("a")
    held.drop("a")
    assert held.peek("a") is None
    assert len(held) == 0


def test_a_new_state_replaces_the_old_one() -> None:
    held = HeldSessions(most_bytes=10)
    for text in ("12345678", "abcdefgh"):
        held.put(session("a", user(text)))
    kept = held.use("a", "")
    assert kept is not None
    assert kept.messages[0].text == "abcdefgh"
    held.put(session("b", user("x")))
    assert len(held) == 2  # the replaced text counts no more


def test_the_longest_unused_goes_first() -> None:
    held = HeldSessions(most=2)
    held.put(session("a"))
    held.put(session("b"))
    held.use("a", "")
    held.put(session("c"))
    assert [name for name in "abc" if held.peek(name)] == ["a", "c"]


@pytest.mark.parametrize(
    "message",
    [
        Message("user", (Text("x" * 60),)),
        Message("user", (Image("image/png", "x" * 60),)),
        Message("user", (Audio("audio/wav", "x" * 60),)),
        Message("assistant", (Thinking("x" * 30, "x" * 30),)),
        Message("user", (Document("text/plain", "x" * 60),)),
        Message("assistant", (ToolUse("1", "look", {"at": "x" * 60}),)),
        Message("user", (ToolResult("1", (Text("x" * 60),)),)),
    ],
)
def test_all_content_counts_for_the_size(message: Message) -> None:
    held = HeldSessions(most_bytes=100)
    held.put(session("a", message))
    held.put(session("b", message))
    assert [name for name in "ab" if held.peek(name)] == ["b"]


def test_one_session_over_the_limit_is_held_until_the_next() -> None:
    held = HeldSessions(most_bytes=10)
    held.put(session("a", user("x" * 20)))
    assert held.peek("a") is not None
    held.put(session("b"))
    assert len(held) == 1
