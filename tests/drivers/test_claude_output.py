"""The claude driver against recorded lines: answers that are one JSON value."""

from __future__ import annotations

from typing import Any

import pytest

from clinvkd.drivers.base import Json
from clinvkd.errors import BackendError, BackendRefused
from clinvkd.events import Completed, Progress, TextDelta, ToolCall, ToolOutput
from clinvkd.prompt import OutputSchema, Prompt

from .claude_lines import (
    Live,
    asked,
    block,
    called,
    ended,
    event,
    gave,
    recorded,
    requests,
    result,
    said,
    script,
    started,
    stopped,
)
from .playing import Played, play

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
ANY = {"type": "object", "additionalProperties": True}


def prompt(schema: Json = PERSON, **options: Any) -> Prompt:
    return asked("who?", output=OutputSchema(schema), **options)


def opened(*tools: str) -> Json:
    return {"type": "system", "subtype": "init", "session_id": "s", "model": "m", "tools": [*tools]}


def call(identity: str, *pieces: str, index: int = 0, name: str = "StructuredOutput") -> list[Json]:
    """A call of the tool as it is streamed."""
    tool = {"type": "tool_use", "id": identity, "name": name, "input": {}}
    return [
        event("content_block_start", index=index, content_block=tool),
        *(
            event(
                "content_block_delta",
                index=index,
                delta={"type": "input_json_delta", "partial_json": piece},
            )
            for piece in pieces
        ),
        called(identity, name),
        event("content_block_stop", index=index),
        ended("tool_use"),
    ]


def answered(text: str, **value: Any) -> Json:
    return result(result=text, structured_output=value, stop_reason="tool_use")


def texts(played: Played) -> list[str]:
    return [event.text for event in played.events if isinstance(event, TextDelta)]


def test_the_schema_is_bound_with_the_system_prompt() -> None:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **PERSON}
    assert requests(play(script().bind(prompt(schema, system="S")))) == [
        {"subtype": "initialize", "systemPrompt": ["S"], "jsonSchema": PERSON}
    ]
    assert requests(play(script().bind(prompt()))) == [
        {"subtype": "initialize", "jsonSchema": PERSON}
    ]


def test_a_schema_of_no_object_is_refused() -> None:
    with pytest.raises(BackendRefused, match="of an object") as caught:
        play(script().bind(prompt({"type": "array"})))
    assert caught.value.param == "output"


@pytest.mark.parametrize("tools", [["Bash"], None])
def test_a_schema_the_agent_dropped_is_refused(tools: list[str] | None) -> None:
    init = {**opened(), "tools": tools}
    with pytest.raises(BackendRefused, match="does not take this JSON Schema") as caught:
        play(script().turn(prompt()), [init])
    assert caught.value.param == "output"


def test_a_repaired_answer_as_recorded() -> None:
    conversation = script()
    played = play(conversation.turn(prompt()), recorded("18"))
    assert texts(played) == ['{"name":"Ann","age":5}']
    assert stopped(played).stop_reason == "end_turn"
    assert conversation.reusable
    assert not any(isinstance(one, ToolCall | ToolOutput) for one in played.events)
    told = "Output does not match required schema: root: must have required property 'age'"
    assert Progress("answer_refused", told) in played.events


def test_only_what_every_answer_begins_with_is_given_before_it_was_accepted() -> None:
    live = Live(script(), prompt())
    live.feed(opened("StructuredOutput"), started(), block(), said("Let me see."))
    assert texts(live.played) == []
    live.feed(*call("a", "", '{"name"', ': "Ann"}', index=1), gave("a", "age?", is_error=True))
    assert texts(live.played) == ["{"]
    live.feed(started(), *call("b", '{"name": "Ann",', ' "age": 5}'), gave("b", "fine"))
    assert texts(live.played) == ["{"]
    live.feed(answered('{"name":"Ann","age":5}', name="Ann", age=5))
    assert texts(live.played) == ["{", '"name":"Ann","age":5}']
    assert live.played.finished


def test_a_schema_of_any_object_streams() -> None:
    live = Live(script(), prompt(ANY))
    live.feed(opened("StructuredOutput"), started(), *call("a", '{"a":', " [1, 2]", "}"))
    assert texts(live.played) == ['{"a":', " [1, 2]", "}"]
    live.feed(gave("a", "fine"), answered('{"a":[1,2]}', a=[1, 2]))
    assert "".join(texts(live.played)) == '{"a": [1, 2]}'
    assert live.played.finished


def test_an_answer_that_was_streamed_and_then_refused_fails() -> None:
    incoming = [started(), *call("a", '{"a": [1,'), gave("a", "no JSON", is_error=True)]
    conversation = script()
    with pytest.raises(BackendError, match="after it was given: no JSON"):
        play(conversation.turn(prompt(ANY)), incoming)
    assert not conversation.reusable


@pytest.mark.parametrize("first", ['{"a": 1}', '{"a": [1'])
def test_an_answer_that_was_streamed_and_then_replaced_fails(first: str) -> None:
    *one, end = call("a", first)
    *two, _ = call("b", '{"a": 2}', index=1)
    incoming = [started(), *one, *two, end, answered('{"a":2}', a=2)]
    conversation = script()
    with pytest.raises(BackendError, match="changed its answer"):
        play(conversation.turn(prompt(ANY)), incoming)
    assert not conversation.reusable


def test_text_instead_of_the_answer_fails() -> None:
    incoming = [
        started(),
        block(),
        said("I will not."),
        ended("end_turn"),
        result(result="I will not."),
    ]
    conversation = script()
    with pytest.raises(BackendError, match=r"in the form asked for: I will not\."):
        play(conversation.turn(prompt()), incoming)
    assert not conversation.reusable


def test_an_answer_that_stays_wrong_fails() -> None:
    failed = result(
        subtype="error_max_structured_output_retries",
        is_error=True,
        errors=["Failed to provide valid structured output after 5 attempts"],
    )
    with pytest.raises(BackendError, match="after 5 attempts"):
        play(script().turn(prompt()), [failed])


def test_an_answer_cut_by_the_token_limit_is_given_as_far_as_it_went() -> None:
    incoming = [
        started(),
        *call("a", '{"name": "An')[:2],
        ended("max_tokens"),
        result(subtype="error_during_execution", is_error=True),
    ]
    played = play(script().turn(prompt()), incoming)
    assert "".join(texts(played)) == '{"name": "An'
    assert stopped(played).stop_reason == "max_tokens"


@pytest.mark.parametrize("early", [True, False])
def test_the_answer_is_no_round_of_tools(early: bool) -> None:
    """2.1.197 tells the result of a call before the message with the call has ended."""
    *tool, end_of_message = call("a", '{"name": "Ann", "age": 5}')
    end = [gave("a", "fine"), end_of_message]
    incoming = [
        started(),
        *tool,
        *(end if early else reversed(end)),
        answered('{"name":"Ann","age":5}', name="Ann", age=5),
    ]
    played = play(script().turn(prompt(max_turns=1)), incoming)
    assert played.sent[1:] == []
    assert stopped(played).stop_reason == "end_turn"


def test_the_agents_own_tools_are_told_and_a_wrong_answer_is_a_round() -> None:
    incoming = [
        started(),
        *call("t", "{}", name="Bash"),
        gave("t", "ok"),
        started(),
        *call("a", "{}"),
        gave("a", "name?", is_error=True),
        result(subtype="error_during_execution", is_error=True),
    ]
    played = play(script().turn(prompt(max_turns=2)), incoming)
    assert ToolCall("t", "Bash", {}) in played.events
    assert ToolOutput("t", "Bash", "ok") in played.events
    assert isinstance(played.events[-1], Completed)
    assert played.events[-1].stop_reason == "max_turns"
