"""The claude driver against recorded lines: effort, stop texts and the text of several messages."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from clinvkd.drivers.base import Json
from clinvkd.drivers.claude import ClaudeDriver
from clinvkd.errors import BackendRefused
from clinvkd.events import Completed, TextDelta, Usage
from clinvkd.prompt import OutputSchema, Sampling

from .claude_lines import (
    BACKEND,
    INTERRUPT,
    asked,
    block,
    called,
    ended,
    event,
    gave,
    requests,
    result,
    said,
    script,
    settings,
    started,
    stopped,
)
from .playing import play


@pytest.mark.parametrize(
    ("asked_for", "level"),
    [("none", "low"), ("minimal", "low"), ("medium", "medium"), ("max", "max")],
)
def test_effort_is_the_nearest_level(asked_for: str, level: str) -> None:
    prompt = asked("hi", sampling=Sampling(effort=asked_for))
    assert settings(play(script().bind(prompt))) == [{"effortLevel": level}]


def test_no_effort_leaves_the_agents_own() -> None:
    assert settings(play(script().bind(asked("hi", sampling=Sampling(effort=""))))) == []


def test_the_option_goes_before_the_neutral_effort() -> None:
    prompt = asked("hi", sampling=Sampling(effort="low"), options=(("effort", "xhigh"),))
    assert settings(play(script().bind(prompt))) == [{"effortLevel": "xhigh"}]


def test_an_unknown_effort_is_refused() -> None:
    with pytest.raises(BackendRefused, match="low, medium, high, xhigh, max") as caught:
        play(script().bind(asked("hi", sampling=Sampling(effort="enormous"))))
    assert caught.value.param == "effort"


def test_stop_texts_change_from_turn_to_turn() -> None:
    first = asked("1", max_tokens=5, sampling=Sampling(stop=("END", "\n", "###")))
    conversation = script()
    assert settings(play(conversation.bind(first))) == [
        {
            "env": {
                "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "5",
                # The provider refuses texts without a visible character.
                "CLAUDE_CODE_EXTRA_BODY": '{"stop_sequences":["END","###"]}',
            }
        }
    ]
    assert settings(play(conversation.turn(first), [result()])) == []
    second = asked("2", max_tokens=5, sampling=Sampling(stop=("\n",)))
    assert settings(play(conversation.turn(second), [result()])) == [
        {"env": {"CLAUDE_CODE_EXTRA_BODY": ""}}
    ]


@pytest.mark.parametrize(
    ("configured", "sent"),
    [
        ('{"metadata":{"a":1},"stop_sequences":["x"]}', {"metadata": {"a": 1}}),
        ("[1]", {}),
        ("not JSON", {}),
    ],
)
def test_a_configured_extra_body_is_kept(configured: str, sent: Json) -> None:
    backend = replace(BACKEND, environment={"CLAUDE_CODE_EXTRA_BODY": configured})
    conversation = ClaudeDriver(backend, Path("/scratch")).open()
    (bound,) = settings(play(conversation.bind(asked("1", sampling=Sampling(stop=("END",))))))
    body = json.loads(bound["env"]["CLAUDE_CODE_EXTRA_BODY"])
    assert body == {**sent, "stop_sequences": ["END"]}
    (taken_back,) = settings(play(conversation.turn(asked("2")), [result()]))
    assert taken_back["env"] == {"CLAUDE_CODE_EXTRA_BODY": configured}


@pytest.mark.parametrize(
    ("stop", "output", "native"),
    [
        (("END",), None, True),
        ((), OutputSchema({}), True),
        (("END", "\n"), None, False),
        (("END",), OutputSchema({}), False),
    ],
)
def test_stop_texts_the_provider_is_not_given_are_left_to_clinvk(
    stop: tuple[str, ...], output: OutputSchema | None, native: bool
) -> None:
    prompt = asked("1", sampling=Sampling(stop=stop, effort="enormous"), output=output)
    assert ("stop" in ClaudeDriver.abilities_for(BACKEND, prompt).honours) == native


def test_a_structured_answer_is_not_stopped_by_the_provider() -> None:
    prompt = asked("1", sampling=Sampling(stop=("END",)), output=OutputSchema({"type": "object"}))
    assert settings(play(script().bind(prompt))) == []


def ended_by(stop: str | None) -> Json:
    delta = {"stop_reason": "stop_sequence", "stop_sequence": stop}
    return event("message_delta", delta=delta, usage={"output_tokens": 9})


def test_the_stop_text_is_told_and_the_conversation_goes_on() -> None:
    conversation = script()
    incoming = [
        started(),
        block(),
        said("abc"),
        ended_by("END"),
        result(stop_reason="stop_sequence"),
    ]
    played = play(conversation.turn(asked("x")), incoming)
    usage = Usage(input_tokens=5, output_tokens=9)
    assert stopped(played) == Completed("stop_sequence", usage, stop_sequence="END")
    assert conversation.reusable


def test_an_answer_that_begins_with_its_stop_text_is_not_asked_for_again() -> None:
    incoming = [
        started(),
        block(),
        ended_by("END"),
        started(),
        block(),
        said("more"),
        result(subtype="error_during_execution", is_error=True),
    ]
    played = play(script().turn(asked("x")), incoming)
    assert requests(played) == [INTERRUPT]
    usage = Usage(input_tokens=5, output_tokens=9)
    assert stopped(played) == Completed("stop_sequence", usage, stop_sequence="END")
    assert not any(isinstance(one, TextDelta) for one in played.events)


@pytest.mark.parametrize(
    ("one", "two", "joined"),
    [
        ("I look.", "Done.", "I look.\n\nDone."),
        ("I look.\n", "Done.", "I look.\nDone."),
        ("I look.", "\nDone.", "I look.\nDone."),
        ("", "Done.", "Done."),
    ],
)
def test_messages_of_one_turn_are_set_apart(one: str, two: str, joined: str) -> None:
    incoming = [
        started(),
        block(),
        said(one),
        block(),
        said(""),
        called("t"),
        ended("tool_use"),
        gave("t", "ok"),
        started(),
        block(),
        said(two[:2]),
        block(),  # of the same message: cited passages are blocks of their own
        said(two[2:]),
        ended("end_turn"),
        result(),
    ]
    played = play(script().turn(asked("x")), incoming)
    texts = [event.text for event in played.events if isinstance(event, TextDelta)]
    assert "".join(texts) == joined
