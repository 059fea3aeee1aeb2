"""What the store of conversations keeps, and what it lets go."""

from __future__ import annotations

import pytest

from clinvkd.errors import NotFound
from clinvkd.prompt import Document, Image, Message, Prompt, Text, Thinking, ToolResult, ToolUse
from clinvkd.sessions import Session, SessionStore


def session(name: str, *messages: Message, client: str = "") -> Session:
    asked = messages or (Message("user", (Text(name),)),)
    return Session(
        id=name, prompt=Prompt(backend="echo", messages=asked, client=client), messages=asked
    )


def test_an_id_is_32_hexadecimal_digits_and_new() -> None:
    ids = {SessionStore.new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(name) == 32 and int(name, 16) >= 0 for name in ids)


def test_what_was_put_is_found_again() -> None:
    store = SessionStore()
    store.put(session("a"))
    assert store.get("a", "").id == "a"
    assert len(store) == 1


@pytest.mark.parametrize("name", ["", "b", "A", "aa"])
def test_only_the_full_id_finds_a_session(name: str) -> None:
    store = SessionStore()
    store.put(session("a"))
    with pytest.raises(NotFound, match="there is no such session") as caught:
        store.get(name, "")
    assert caught.value.param == "session_id"


def test_another_clients_session_is_not_there() -> None:
    store = SessionStore()
    store.put(session("a", client="me"))
    assert store.get("a", "me").id == "a"
    for other in ("", "you"):
        with pytest.raises(NotFound, match="there is no such session"):
            store.get("a", other)


def test_a_new_state_replaces_the_old_one() -> None:
    store = SessionStore(most_bytes=10)
    for text in ("12345678", "abcdefgh"):
        store.put(session("a", Message("user", (Text(text),))))
    assert len(store) == 1
    assert store.get("a", "").messages[0].text == "abcdefgh"
    store.put(session("b", Message("user", (Text("x"),))))
    assert len(store) == 2  # the replaced text counts no more


def test_the_longest_unused_goes_first() -> None:
    store = SessionStore(most=2)
    store.put(session("a"))
    store.put(session("b"))
    store.get("a", "")
    store.put(session("c"))
    assert len(store) == 2
    assert store.get("a", "").id == "a"
    with pytest.raises(NotFound):
        store.get("b", "")


@pytest.mark.parametrize(
    "message",
    [
        Message("user", (Text("x" * 60),)),
        Message("user", (Image("image/png", "x" * 60),)),
        Message("assistant", (Thinking("x" * 30, "x" * 30),)),
        Message("user", (Document("text/plain", "x" * 60),)),
        Message("assistant", (ToolUse("1", "look", {"at": "x" * 60}),)),
        Message("user", (ToolResult("1", (Text("x" * 60),)),)),
    ],
)
def test_all_content_counts_for_the_size(message: Message) -> None:
    store = SessionStore(most_bytes=100)
    store.put(session("a", message))
    store.put(session("b", message))
    assert len(store) == 1
    assert store.get("b", "").id == "b"


def test_one_session_over_the_limit_is_kept_until_the_next() -> None:
    store = SessionStore(most_bytes=10)
    store.put(session("a", Message("user", (Text("x" * 20),))))
    assert store.get("a", "").id == "a"
    store.put(session("b"))
    assert len(store) == 1
