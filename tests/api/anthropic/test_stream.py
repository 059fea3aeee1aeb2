"""`POST /messages` with `stream`: the order and shape of the events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clinvkd.api import stream as stream_module

from ..service import Answer
from .talk import (
    BACKENDS,
    MESSAGES,
    PREFIX,
    Anthropic,
    Stream,
    add_up,
    error_of,
    named_events,
    serving,
    user,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

AWKWARD = (
    'emoji 👩‍👩‍👧 line\u2028sep\x85 crlf\r\nlf\n\n\nevent: fake\ndata: fake\n\n: ping\rcr \\ " end'
)


async def test_the_events_of_a_plain_answer(anthropic: Anthropic) -> None:
    start, opened, one, two, closed, delta, stop = (await anthropic.stream("Hello there")).events
    message = start.pop("message")
    assert start == {"type": "message_start"}
    usage = message.pop("usage")
    assert usage["output_tokens"] == 1
    assert usage["input_tokens"] >= 1
    assert message.pop("id").startswith("msg_")
    assert message == {
        "type": "message",
        "role": "assistant",
        "model": "echo",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }
    assert opened == {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    }
    assert one == {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "Hello "},
    }
    assert two["delta"] == {"type": "text_delta", "text": "there"}
    assert closed == {"type": "content_block_stop", "index": 0}
    assert delta["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert delta["usage"]["output_tokens"] == 2
    assert stop == {"type": "message_stop"}


async def test_thinking_comes_in_a_block_of_its_own(anthropic: Anthropic) -> None:
    stream = await anthropic.stream("[[think deep thought]]said", thinking={"type": "adaptive"})
    assert stream.kinds == [
        "message_start", "start", "delta", "stop", "start", "delta", "stop", "message_delta",
        "message_stop",
    ]  # fmt: skip
    assert [block["type"] for block in stream.message["content"]] == ["thinking", "text"]


@pytest.mark.parametrize(
    ("prompt", "body"),
    [
        (AWKWARD, {}),
        ("[[think deep thought]]said", {"thinking": {"type": "adaptive"}}),
        ("one two three", {"stop_sequences": ["tw"]}),
        ("one two three", {"max_tokens": 2}),
        ("one two three", {"max_tokens": 1, "model": "plain"}),
        ('[[tool look {"at": 1}]]said', {}),
    ],
)
async def test_a_stream_adds_up_to_the_whole_message(
    anthropic: Anthropic, prompt: str, body: dict[str, Any]
) -> None:
    whole = await anthropic.message(prompt, **body)
    told = (await anthropic.stream(prompt, **body)).message
    del whole["id"], told["id"]
    assert told == whole


async def test_the_head_says_how_to_read_it(anthropic: Anthropic) -> None:
    answer = await anthropic.post("hi", stream=True)
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Accel-Buffering"] == "no"


async def test_pings_while_the_agent_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "HOLD", 0.05)
    async with serving(tmp_path, server={"heartbeat_secs": 0.05}) as anthropic:
        answer = await anthropic.post("[[silent 0.5]]late", stream=True)
    events = named_events(answer.text)
    assert {"type": "ping"} in events
    message, error = add_up([event for event in events if event != {"type": "ping"}])
    assert (message["content"], error) == ([{"type": "text", "text": "late"}], None)


async def test_the_head_of_a_silent_stream_does_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "HOLD", 0.05)
    messages = [user("[[silent 600]]never")]
    body = {"model": "echo", "max_tokens": 9, "messages": messages, "stream": True}
    async with (
        serving(tmp_path, server={"heartbeat_secs": 0.05}) as anthropic,
        anthropic.service.client.post(PREFIX + MESSAGES, json=body) as response,
    ):
        assert response.status == 200
        first = await response.content.readuntil(b"\n\n")
        assert first == b'event: ping\ndata: {"type":"ping"}\n\n'


async def test_a_failure_after_text_ends_the_stream(anthropic: Anthropic) -> None:
    stream = await anthropic.stream("said [[fail it broke]]")
    assert stream.text == "said "
    assert stream.error == {"type": "api_error", "message": "backend 'echo': it broke"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("prompt", "status", "kind"),
    [
        ("[[fail it broke]]", 500, "api_error"),
        ("[[fail 429 too many]]", 429, "rate_limit_error"),
        ("[[exit 3]]", 529, "overloaded_error"),
    ],
)
async def test_a_failure_before_text_has_its_true_status(
    anthropic: Anthropic, prompt: str, status: int, kind: str, stream: bool
) -> None:
    answer: Answer = await anthropic.post(prompt, stream=stream)
    assert (answer.status, error_of(answer)["type"]) == (status, kind), answer.text


WORDS = "one two three four five six"


@pytest.mark.parametrize("model", ["echo", "plain"])
async def test_an_agent_that_dies_anywhere_gives_no_text_twice(tmp_path: Path, model: str) -> None:
    async with serving(tmp_path, backends=BACKENDS, pool={"spares": 0}) as anthropic:
        for chunks in range(1, 7):
            answer = await anthropic.post(
                f"[[long {chunks}]][[exit 3]]{WORDS}", stream=True, model=model
            )
            assert answer.status == 200, answer.text
            stream = Stream.of(answer)
            assert stream.error is not None
            assert stream.error["type"] == "overloaded_error"
            assert stream.text.split() == WORDS.split()[:chunks]


async def test_every_event_is_two_lines(anthropic: Anthropic) -> None:
    answer = await anthropic.post(AWKWARD, stream=True)
    for block in answer.text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        assert name.startswith("event: ")
        assert isinstance(json.loads(data.removeprefix("data: ")), dict)
    assert Stream.of(answer).text == AWKWARD
