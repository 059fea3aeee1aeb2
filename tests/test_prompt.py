"""What of a prompt is history and what is new, and when two conversations are the same one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clinvkd.prompt import (
    Audio,
    Image,
    Message,
    Permissions,
    Prompt,
    Text,
    Tool,
    ToolResult,
    ToolUse,
)


def user(*texts: str) -> Message:
    return Message("user", tuple(Text(text) for text in texts))


def assistant(*texts: str) -> Message:
    return Message("assistant", tuple(Text(text) for text in texts))


@pytest.mark.parametrize(
    ("messages", "earlier"),
    [
        ((user("a"),), 0),
        ((user("a"), user("b")), 0),
        ((user("a"), assistant("b"), user("c")), 2),
        ((assistant("a"), user("b"), user("c")), 1),
        ((user("a"), assistant("b"), user("c"), assistant("d"), user("e"), user("f")), 4),
    ],
)
def test_new_is_what_follows_the_last_answer(messages: tuple[Message, ...], earlier: int) -> None:
    prompt = Prompt(backend="echo", messages=messages)
    assert (prompt.history, prompt.new) == (messages[:earlier], messages[earlier:])


def test_the_text_of_a_message_is_that_of_its_text_blocks() -> None:
    image = Image("image/png", "aGk=")
    assert Message("user", (Text("a"), image, Text("b"))).text == "ab"
    assert Message("user", (ToolResult("1", (Text("hidden"),)),)).text == ""


def test_an_option_not_given_is_none() -> None:
    prompt = Prompt(backend="echo", messages=(user("a"),), options=(("effort", "low"),))
    assert (prompt.option("effort"), prompt.option("summary")) == ("low", None)


PROMPT = Prompt(backend="echo", messages=(user("hello"),))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((user("ab"),), (user("a", "b"),)),
        ((user("ab"),), (user("a"), user("b"))),
        ((user("ab"),), (user("", "ab", ""),)),
        ((user("a"), assistant("bc")), (user("a"), assistant("b"), assistant("c"))),
        ((user("a"),), (user("a"), user(""))),
    ],
)
def test_how_a_text_is_split_makes_no_other_conversation(
    one: tuple[Message, ...], other: tuple[Message, ...]
) -> None:
    assert PROMPT.key(one) == PROMPT.key(other)


IMAGE = Message("user", (Image("image/png", "aGk="),))
CALL = Message("assistant", (ToolUse("1", "look", {"at": 1}),))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((user("a"),), (user("b"),)),
        ((user("a"),), (user("a "),)),
        ((user("a"),), (assistant("a"),)),
        ((user("a"),), ()),
        ((user("a"), assistant("b")), (user("a"), user("b"))),
        ((IMAGE,), (Message("user", (Image("image/gif", "aGk="),)),)),
        ((IMAGE,), (user("aGk="),)),
        (
            (Message("user", (Audio("audio/wav", "aGk="),)),),
            (Message("user", (Audio("audio/wav", "aGo="),)),),
        ),
        ((CALL,), (Message("assistant", (ToolUse("1", "look", {"at": 2}),)),)),
        (
            (Message("user", (ToolResult("1", (Text("a"),)),)),),
            (Message("user", (ToolResult("1", (Text("a"),), is_error=True),)),),
        ),
        (
            (Message("user", (Text("a"), Image("image/png", "eA=="), Text("b"))),),
            (Message("user", (Text("ab"), Image("image/png", "eA=="))),),
        ),
    ],
)
def test_other_content_makes_another_conversation(
    one: tuple[Message, ...], other: tuple[Message, ...]
) -> None:
    assert PROMPT.key(one) != PROMPT.key(other)


@pytest.mark.parametrize(
    "changes",
    [
        {"client": "somebody else"},
        {"backend": "other"},
        {"workdir": Path("/srv")},
        {"permissions": Permissions(tools=True)},
        {"permissions": Permissions(sandbox="full")},
        {"system": "Be brief."},
        {"system": ""},
        {"model": "best"},
        {"ephemeral": True},
    ],
    ids=str,
)
def test_what_a_conversation_is_bound_to_makes_another_one(changes: dict[str, Any]) -> None:
    assert replace(PROMPT, **changes).key(PROMPT.messages) != PROMPT.key(PROMPT.messages)


@pytest.mark.parametrize(
    "changes", [{"max_tokens": 5}, {"max_turns": 2}, {"messages": (user("other"),)}], ids=str
)
def test_what_may_change_from_turn_to_turn_does_not(changes: dict[str, Any]) -> None:
    assert replace(PROMPT, **changes).key(PROMPT.messages) == PROMPT.key(PROMPT.messages)


REPLACE = Tool(
    "replace",
    "",
    {
        "type": "object",
        "properties": {
            "old": {"type": "string"},
            "all": {"type": "boolean", "default": False},
            "more": {
                "type": "array",
                "items": {"type": "object", "properties": {"count": {"default": 1}}},
            },
        },
    },
)


@pytest.mark.parametrize(
    ("sent_back", "same"),
    [
        ({"old": "a", "all": False}, True),
        ({"all": False, "old": "a", "more": []}, False),
        ({"old": "a", "all": True}, False),
        ({"old": "a", "all": 0}, False),
        ({"old": "a", "other": False}, False),
        ({}, False),
    ],
    ids=str,
)
def test_a_default_filled_in_makes_no_other_conversation(
    sent_back: dict[str, Any], same: bool
) -> None:
    prompt = replace(PROMPT, tools=(REPLACE,))
    called, again = (
        prompt.key((user("a"), Message("assistant", (ToolUse("1", "replace", arguments),))))
        for arguments in ({"old": "a"}, sent_back)
    )
    assert (called == again) is same


def test_defaults_within_lists_are_left_out_too() -> None:
    prompt = replace(PROMPT, tools=(REPLACE,))
    called, again = (
        prompt.key((Message("assistant", (ToolUse("1", "replace", {"more": [element]}),)),))
        for element in ({}, {"count": 1})
    )
    assert called == again
