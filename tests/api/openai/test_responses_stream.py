"""Streamed responses: every event an accumulator needs, in order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clinvkd.api import stream

from .talk import OpenAI
from .test_responses import PATH, text_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXT_ITEM = [
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
]
REASONING_ITEM = [
    "response.output_item.added",
    "response.reasoning_summary_part.added",
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done",
    "response.reasoning_summary_part.done",
    "response.output_item.done",
]


async def events_of(openai: OpenAI, **body: Any) -> list[dict[str, Any]]:
    """The events of a stream; each must be named and numbered."""
    answer = await openai.post(PATH, stream=True, **body)
    assert answer.status == 200, answer.text
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert "[DONE]" not in answer.text
    events = []
    for block in answer.text.removesuffix("\n\n").split("\n\n"):
        name, _, data = block.partition("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """The types in order, deltas in a row as one."""
    told: list[str] = []
    for event in events:
        if not told or told[-1] != event["type"] or not event["type"].endswith(".delta"):
            told.append(event["type"])
    return told


def accumulated(events: list[dict[str, Any]]) -> list[Any]:
    """The output as a client puts it together from the events of its items alone."""
    output: list[Any] = []
    for event in events:
        match event:
            case {"type": "response.output_item.added", "output_index": index, "item": item}:
                assert index == len(output)
                assert item.get("status") in (None, "in_progress")
                output.append(json.loads(json.dumps(item)))
            case {"type": "response.content_part.added", "part": part}:
                output[-1]["content"].append(part)
            case {"type": "response.output_text.delta", "delta": delta, "content_index": at}:
                output[-1]["content"][at]["text"] += delta
            case {"type": "response.output_text.done", "text": text, "content_index": at}:
                assert output[-1]["content"][at]["text"] == text
            case {"type": "response.content_part.done", "part": part, "content_index": at}:
                assert output[-1]["content"][at] == part
            case {"type": "response.reasoning_summary_part.added", "part": part}:
                output[-1]["summary"].append(part)
            case {"type": "response.reasoning_summary_text.delta", "delta": delta}:
                output[-1]["summary"][0]["text"] += delta
            case {"type": "response.reasoning_summary_part.done", "part": part}:
                assert output[-1]["summary"] == [part]
            case {"type": "response.output_item.done", "item": item}:
                status = item.get("status")
                assert {**output[-1], **({"status": status} if status else {})} == item
                output[-1] = item
        if "item_id" in event:
            assert event["item_id"] == output[event["output_index"]]["id"]
    return output


async def test_the_events_of_a_text(openai: OpenAI) -> None:
    events = await events_of(openai, input="one two three")
    assert kinds(events) == [
        "response.created", "response.in_progress", *TEXT_ITEM, "response.completed",
    ]  # fmt: skip
    deltas = [e["delta"] for e in events if e["type"] == "response.output_text.delta"]
    assert deltas == ["one ", "two ", "three"]
    final = events[-1]["response"]
    assert accumulated(events) == final["output"]
    assert {event["response"]["id"] for event in events if "response" in event} == {final["id"]}
    assert [event["response"]["status"] for event in events if "response" in event] == [
        "in_progress", "in_progress", "completed",
    ]  # fmt: skip


async def test_the_events_of_reasoning(openai: OpenAI) -> None:
    events = await events_of(
        openai, input="[[think so so]] one two", reasoning={"summary": "detailed"}
    )
    assert kinds(events) == [
        "response.created", "response.in_progress", *REASONING_ITEM, *TEXT_ITEM,
        "response.completed",
    ]  # fmt: skip
    assert accumulated(events) == events[-1]["response"]["output"]
    untold = await events_of(openai, input="[[think so so]] one two")
    assert not any("reasoning" in kind for kind in kinds(untold))


async def test_an_incomplete_one(openai: OpenAI) -> None:
    events = await events_of(openai, input="one two three", max_output_tokens=2)
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert accumulated(events)[0]["status"] == "incomplete"


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"max_output_tokens": 3},
        {"model": "plain", "max_output_tokens": 3},
        {"reasoning": {"summary": "auto"}},
        {"store": False},
    ],
)
async def test_streamed_and_whole_are_equal(openai: OpenAI, asked: dict[str, Any]) -> None:
    given = "one two [[think quite so]] three four five six"
    whole = await openai.response(given, **asked)
    streamed = (await events_of(openai, input=given, **asked))[-1]["response"]
    assert text_of(streamed) == text_of(whole)
    assert set(streamed) == set(whole)
    same = ("status", "usage", "incomplete_details", "text", "reasoning")
    assert {name: streamed[name] for name in same} == {name: whole[name] for name in same}
    assert len(streamed["output"]) == len(whole["output"])


async def test_a_failure_after_the_first_text(openai: OpenAI) -> None:
    events = await events_of(openai, input="so far [[fail no luck]]")
    failed, error = events[-2:]
    assert failed["type"] == "response.failed"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"]["code"] == "server_error"
    assert "no luck" in failed["response"]["error"]["message"]
    assert error["type"] == "error"
    assert error["error"] == {
        "type": "server_error",
        "code": error["code"],
        "message": error["message"],
        "param": error["param"],
    }
    assert "no luck" in error["message"]
    lost = await openai.request("GET", f"{PATH}/{failed['response']['id']}")
    assert lost.status == 404


async def test_silence_is_no_end(openai: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HOLD", 0.05)
    events = await events_of(openai, input="[[silent 0.5]]one two")
    assert text_of(events[-1]["response"]) == "one two"
