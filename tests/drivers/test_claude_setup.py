"""The claude driver against recorded lines: starting, binding and seeding."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinvkd.drivers.base import Json
from clinvkd.drivers.claude import ClaudeDriver
from clinvkd.errors import BackendError, BackendRefused, BackendUnavailable
from clinvkd.prompt import Image, Message, Text, ToolResult, ToolUse

from .claude_lines import (
    BACKEND,
    answer,
    asked,
    question,
    recorded,
    requests,
    result,
    script,
    settings,
    text,
    user_line,
    version_answer,
)
from .playing import continue_play, play

# Start


def test_start_asks_for_the_version_only() -> None:
    driver = ClaudeDriver(BACKEND, Path("/scratch"))
    played = play(driver.start(), [{"type": "keep_alive"}, version_answer("2.1.330")])
    assert played.finished
    assert requests(played) == [{"subtype": "get_binary_version"}]
    assert driver.version == "2.1.330"
    assert driver.warnings == ()


def test_an_old_version_says_what_it_cannot_do() -> None:
    driver = ClaudeDriver(BACKEND, Path("/scratch"))
    play(driver.start(), [version_answer("2.1.197")])
    assert driver.version == "2.1.197"
    assert len(driver.warnings) == 2


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (
            {
                "type": "control_response",
                "response": {"subtype": "error", "error": "Unsupported control request"},
            },
            "Unsupported control request",
        ),
        (
            {
                "type": "result",
                "subtype": "error_during_execution",
                "is_error": True,
                "errors": ["config_file_invalid"],
            },
            "config_file_invalid",
        ),
        (answer({}), "no reason given"),
    ],
)
def test_a_refused_start_is_unavailable(message: Json, reason: str) -> None:
    driver = ClaudeDriver(BACKEND, Path("/scratch"))
    with pytest.raises(BackendUnavailable, match=reason):
        play(driver.start(), [message])


def test_everything_belongs_to_the_conversation_once_it_is_open() -> None:
    driver = ClaudeDriver(BACKEND, Path("/scratch"))
    message = {"type": "keep_alive"}
    assert driver.route(message) is None
    conversation = driver.open()
    assert driver.route(message) is conversation


def test_a_rehearsal_goes_through_a_whole_first_turn() -> None:
    driver = ClaudeDriver(BACKEND, Path("/scratch"))
    prompt = asked("now", Message("user", (Text("q"),)), Message("assistant", (Text("a"),)))
    conversation = driver.open()
    sent: list[Json] = []
    for exchange in (
        driver.start(),
        conversation.bind(prompt),
        conversation.seed(prompt.history),
        conversation.turn(prompt),
    ):
        played = play(exchange)
        while not played.finished:
            reply = driver.rehearse(played.sent[-1])
            assert reply is not None
            continue_play(exchange, played, reply, iter(()))
        sent += played.sent
    assert [line["type"] for line in sent] == ["control_request", "user", "assistant", "user"]
    assert driver.rehearse(sent[2]) is None


# Binding and tuning


def test_a_plain_prompt_binds_nothing() -> None:
    assert play(script().bind(asked("hi"))).sent == []


def test_system_prompt_and_settings_are_bound_late() -> None:
    prompt = asked(
        "hi",
        system="You are terse.",
        model="claude-sonnet-5",
        max_tokens=1234,
        options=(("effort", "low"),),
    )
    assert play(script().bind(prompt)).sent == [
        {
            "type": "control_request",
            "request_id": "clinvk-1",
            "request": {"subtype": "initialize", "systemPrompt": ["You are terse."]},
        },
        {
            "type": "control_request",
            "request_id": "clinvk-2",
            "request": {
                "subtype": "apply_flag_settings",
                "settings": {
                    "model": "claude-sonnet-5",
                    "effortLevel": "low",
                    "env": {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "1234"},
                },
            },
        },
    ]


def test_an_empty_system_prompt_replaces_the_agents_own() -> None:
    assert requests(play(script().bind(asked("hi", system="")))) == [
        {"subtype": "initialize", "systemPrompt": [""]}
    ]


def test_a_turn_applies_only_what_changed() -> None:
    first = asked("1", max_tokens=100, options=(("effort", "low"),))
    conversation = script(first)
    assert settings(play(conversation.turn(first), [result()])) == []
    second = asked("2", max_tokens=200, options=(("effort", "low"),))
    assert settings(play(conversation.turn(second), [result()])) == [
        {"env": {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "200"}}
    ]
    assert settings(play(conversation.turn(asked("3")), [result()])) == [
        {"effortLevel": None, "env": {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": ""}}
    ]


def test_a_refused_setting_fails_the_turn() -> None:
    refused = {
        "type": "control_response",
        "response": {"subtype": "error", "request_id": "clinvk-1", "error": "no such thing"},
    }
    prompt = asked("hi", model="x")
    with pytest.raises(BackendError, match="no such thing"):
        play(script(prompt).turn(prompt), [refused])
    with pytest.raises(BackendError, match="no such thing"):
        play(script(prompt).seed((Message("user", (Text("q"),)),)), [refused])


# Seeding

HISTORY = (
    Message("user", (Text("Q1"), Image("image/png", "iVBO"))),
    Message("assistant", (Text("A1"), ToolUse("toolu_S", "Bash", {"command": "ls"}))),
    Message("user", (ToolResult("toolu_S", (Text("22 degrees"), Text(""))),)),
    Message("assistant", (Text("It is 22 degrees."),)),
)


def test_seeding_waits_after_each_user_message_and_keeps_ids_and_images() -> None:
    played = play(script().seed(HISTORY), recorded("13"))
    assert played.finished
    assert played.events == []
    image = {"type": "base64", "media_type": "image/png", "data": "iVBO"}
    assert played.sent == [
        user_line(text("Q1"), {"type": "image", "source": image}, shouldQuery=False),
        {
            "type": "assistant",
            "message": {
                "id": "msg_clinvk_1",
                "role": "assistant",
                "content": [
                    text("A1"),
                    {
                        "type": "tool_use",
                        "id": "toolu_S",
                        "name": "Bash",
                        "input": {"command": "ls"},
                    },
                ],
            },
            "parent_tool_use_id": None,
        },
        user_line(
            {
                "type": "tool_result",
                "tool_use_id": "toolu_S",
                "content": [text("22 degrees")],
                "is_error": False,
            },
            shouldQuery=False,
        ),
        {
            "type": "assistant",
            "message": {
                "id": "msg_clinvk_2",
                "role": "assistant",
                "content": [text("It is 22 degrees.")],
            },
            "parent_tool_use_id": None,
        },
    ]


def test_seeding_stands_still_until_the_message_is_appended() -> None:
    played = play(script().seed(HISTORY), [{"type": "keep_alive"}])
    assert not played.finished
    assert len(played.sent) == 1


def test_messages_without_content_are_not_seeded() -> None:
    history = (Message("user", (Text(" "),)), Message("assistant", (Text(""),)))
    played = play(script().seed(history))
    assert played.finished
    assert played.sent == []


def test_a_failure_while_seeding_is_told() -> None:
    failure = result(is_error=True, result="Prompt is too long", terminal_reason="blocking_limit")
    with pytest.raises(BackendRefused, match="too long"):
        play(script().seed(HISTORY), [failure])


def test_a_question_while_seeding_is_answered() -> None:
    played = play(script(asked("x")).seed(HISTORY[:1]), [question("Bash", {}), result()])
    assert played.finished
    assert played.sent[1]["response"]["response"]["behavior"] == "deny"
