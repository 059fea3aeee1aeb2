"""The claude driver against recorded lines: turns and what they tell."""

from __future__ import annotations

import pytest

from clinvkd.drivers.base import Json
from clinvkd.errors import BackendRefused
from clinvkd.events import (
    Completed,
    Opened,
    Progress,
    TextDelta,
    ThinkingDelta,
    TokenUsage,
    ToolCall,
    ToolOutput,
    Usage,
)
from clinvkd.prompt import Image, Message, Prompt, Text, ToolResult

from .claude_lines import (
    HELLO,
    ONE_CALL,
    asked,
    block,
    called,
    event,
    gave,
    recorded,
    result,
    script,
    started,
    stopped,
    text,
    user_line,
)
from .playing import play


def test_a_turn_as_recorded() -> None:
    conversation = script()
    played = play(conversation.turn(asked("hi")), recorded("21"))
    assert played.sent == [user_line(text("hi"))]
    assert played.events == [
        Opened("2aa2a5fa-dd3b-4bd5-b815-66f82efbc5eb", "claude-opus-4-8[1m]"),
        Progress("requesting"),
        *HELLO,
        TokenUsage(ONE_CALL),
        Completed("end_turn", ONE_CALL, 0.003284),
    ]
    assert conversation.reusable


def test_a_one_shot_turn_as_recorded_gives_the_same_events() -> None:
    played = play(script().turn(asked("hi")), recorded("01"))
    assert [event for event in played.events if isinstance(event, TextDelta)] == HELLO
    assert stopped(played).usage == ONE_CALL


def test_cost_and_usage_are_those_of_the_turn() -> None:
    conversation = script()
    incoming = recorded("02")
    first = 1 + next(i for i, line in enumerate(incoming) if line["type"] == "result")
    one = play(conversation.turn(asked("first")), incoming[:first])
    two = play(conversation.turn(asked("second")), incoming[first:])
    assert stopped(one) == stopped(two) == Completed("end_turn", ONE_CALL, 0.0019606)


def test_thinking_tools_and_usage_as_recorded() -> None:
    played = play(script().turn(asked("t")), recorded("19"))
    first = Usage(input_tokens=3566, output_tokens=20, cached_tokens=3333, cache_write_tokens=222)
    second = Usage(input_tokens=4050, output_tokens=9, cached_tokens=4000)
    assert played.events == [
        Opened("894abc17-e831-4618-8a96-81c4e9c56572", "claude-opus-5-5"),
        Progress("requesting"),
        ThinkingDelta("let me think"),
        TextDelta("pr"),
        TextDelta("e"),
        ToolCall("toolu_0895_0", "mcp__clinvk__add", {"a": 1, "b": 2}),
        TokenUsage(first),
        ToolOutput("toolu_0895_0", "mcp__clinvk__add", 'RESULT {"a": 1, "b": 2}'),
        Progress("requesting"),
        TextDelta("\n\nfinal"),
        TokenUsage(first + second),
        # The agent's own sum counts cache writes that the stream did not tell.
        Completed(
            "end_turn",
            Usage(input_tokens=7838, output_tokens=29, cached_tokens=7333, cache_write_tokens=444),
            0.0045106,
        ),
    ]
    # clinvk declared no server of its own, so the agent's messages to one are refused.
    assert [sent["response"]["subtype"] for sent in played.sent[1:]] == ["error"] * 4


def test_new_messages_are_sent_as_one() -> None:
    prompt = Prompt(
        backend="claude",
        messages=(
            Message("assistant", (Text("a"),)),
            Message("user", (ToolResult("t1", (Image("image/png", "iVBO"),), is_error=True),)),
            Message("user", (Text("go"), Text("\n"))),
        ),
    )
    image = {"type": "base64", "media_type": "image/png", "data": "iVBO"}
    assert play(script().turn(prompt)).sent == [
        user_line(
            {
                "type": "tool_result",
                "tool_use_id": "t1",
                "content": [{"type": "image", "source": image}],
                "is_error": True,
            },
            text("go"),
        )
    ]


def test_a_blank_prompt_is_refused_without_asking() -> None:
    conversation = script()
    with pytest.raises(BackendRefused) as raised:
        play(conversation.turn(asked(" \n")))
    assert raised.value.param == "prompt"


@pytest.mark.parametrize(
    ("version", "words", "expected"),
    [
        ("2.1.330", "/clear", "/clear"),
        ("2.1.248", "/clear", "/clear"),
        ("2.1.247", "/clear", "\n/clear"),
        ("2.1.197", "/clear", "\n/clear"),
        ("2.1.197", "a /clear", "a /clear"),
        ("2.1.197", " /clear", " /clear"),
    ],
)
def test_a_slash_is_never_a_command(version: str, words: str, expected: str) -> None:
    conversation = script(version=version)
    assert play(conversation.turn(asked(words))).sent == [user_line(text(expected))]
    seeded = play(conversation.seed((Message("user", (Text(words),)),)))
    assert seeded.sent == [user_line(text(expected), shouldQuery=False)]


def test_an_old_version_looks_at_the_last_text_only() -> None:
    image = Image("image/png", "iVBO")
    message = Message("user", (Text("/a"), Text("/b"), image))
    sent = play(script(version="2.1.197").seed((message,))).sent[0]["message"]["content"]
    assert [part.get("text") for part in sent] == ["/a", "\n/b", None]
    (sent,) = play(script(version="2.1.197").seed((Message("user", (image,)),))).sent
    assert [part["type"] for part in sent["message"]["content"]] == ["image"]


def test_unknown_lines_are_ignored() -> None:
    unknown: list[Json] = [
        {"type": "keep_alive"},
        {"type": "system", "subtype": "something_new", "text": "x"},
        {"type": "control_cancel_request", "request_id": "r"},
        {"type": "rate_limit_event", "rate_limit_info": {}},
        event("ping"),
        event("content_block_delta", delta={"type": "signature_delta", "signature": "c2ln"}),
        {"type": "user", "message": {"content": "injected"}},
        {"type": "user", "message": {"content": [text("injected")]}},
        {},
    ]
    assert play(script().turn(asked("hi")), [*unknown, result()]).events == [Completed()]


def test_signs_of_life_are_progress() -> None:
    signs: list[Json] = [
        {"type": "system", "subtype": "status", "status": "compacting"},
        {"type": "system", "subtype": "status", "status": None},
        {"type": "tool_progress", "tool_name": "Bash", "elapsed_time_seconds": 30},
    ]
    assert play(script().turn(asked("hi")), signs).events == [
        Progress("compacting"),
        Progress("tool", "Bash"),
    ]


def test_a_subagents_words_are_not_the_answer_but_its_tools_are_told() -> None:
    incoming = [
        event("message_start", "t1", message={"usage": {"input_tokens": 5}}),
        event("content_block_delta", "t1", delta={"type": "text_delta", "text": "inner"}),
        called("t2", "Read", parent="t1", file_path="a"),
        gave("t2", [{"type": "text", "text": "x"}, {"type": "image", "source": {}}]),
        gave("t3", None, is_error=True),
    ]
    assert play(script().turn(asked("hi")), incoming).events == [
        ToolCall("t2", "Read", {"file_path": "a"}),
        ToolOutput("t2", "Read", "x[image]"),
        ToolOutput("t3", "", "", is_error=True),
    ]


def test_an_answer_without_deltas_is_told_once() -> None:
    incoming = [called("x"), result(result="Whole answer.", stop_reason="stop_sequence")]
    played = play(script().turn(asked("hi")), incoming)
    assert played.events[1:] == [TextDelta("Whole answer."), Completed("stop_sequence")]


def test_reasoning_missing_in_the_result_is_taken_from_the_stream() -> None:
    details = {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}
    incoming = [
        started(),
        block(),
        event("message_delta", delta={"stop_reason": "end_turn"}, usage=details),
        result(usage={"input_tokens": 5, "output_tokens": 9}),
    ]
    assert stopped(play(script().turn(asked("hi")), incoming)).usage == Usage(
        input_tokens=5, output_tokens=9, reasoning_tokens=4
    )
