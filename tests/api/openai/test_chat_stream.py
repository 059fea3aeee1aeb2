"""Streamed chat completions."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from clinvkd.api import stream

from ..service import sse_events, until
from .talk import (
    CHAT,
    PREFIX,
    OpenAI,
    check_error,
    check_usage,
    content,
    finishes,
    serving,
    told,
    user,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_role_then_text_then_the_reason(openai: OpenAI) -> None:
    chunks = await openai.chunks(CHAT, messages=[user("one two three")])
    assert len({chunk["id"] for chunk in chunks}) == 1
    for chunk in chunks:
        assert set(chunk) == {
            "id", "object", "created", "model", "system_fingerprint", "choices",
        }  # fmt: skip
        assert (chunk["object"], chunk["model"]) == ("chat.completion.chunk", "echo")
        (choice,) = chunk["choices"]
        assert set(choice) == {"index", "delta", "logprobs", "finish_reason"}
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": "", "refusal": None}
    assert [delta.get("content") for delta in deltas[1:-1]] == ["one ", "two ", "three"]
    assert deltas[-1] == {}
    assert finishes(chunks) == {0: "stop"}


async def test_usage_comes_in_a_last_chunk_when_asked(openai: OpenAI) -> None:
    options = {"include_usage": True}
    chunks = await openai.chunks(CHAT, messages=[user("one two")], stream_options=options)
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["choices"] == []
    check_usage(chunks[-1]["usage"])
    for more in ({}, {"stream_options": {"include_usage": False}}, {"stream_options": None}):
        chunks = await openai.chunks(CHAT, messages=[user("one two")], **more)
        assert not any("usage" in chunk for chunk in chunks)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"max_tokens": 3},
        {"stop": "five"},
        {"model": "plain", "max_tokens": 3},
        {"model": "plain", "stop": ["e fi"]},
        {"n": 3},
        {"reasoning_effort": "high"},
        {"model": "narrow", "n": 3},
    ],
)
async def test_streamed_and_whole_are_equal(openai: OpenAI, asked: dict[str, Any]) -> None:
    messages = [user("one two three [[think quite so]] four five six seven")]
    whole = await openai.chat(messages, **asked)
    chunks = await openai.chunks(
        CHAT, messages=messages, stream_options={"include_usage": True}, **asked
    )
    assert chunks[-1]["usage"] == whole["usage"]
    for choice in whole["choices"]:
        index, message = choice["index"], choice["message"]
        assert told(chunks, index) == message["content"]
        reasoning = told(chunks, index, "reasoning_content")
        assert reasoning == message.get("reasoning_content", "")
        assert finishes(chunks)[index] == choice["finish_reason"]


async def test_each_choice_has_its_own_chunks(openai: OpenAI) -> None:
    chunks = await openai.chunks(CHAT, messages=[user("one two [[slow 0.01]]")], n=16)
    assert finishes(chunks) == dict.fromkeys(range(16), "stop")
    for index in range(16):
        own = [c for chunk in chunks for c in chunk["choices"] if c["index"] == index]
        assert own[0]["delta"]["role"] == "assistant"
        assert not any("role" in each["delta"] for each in own[1:])
        assert told(chunks, index) == "one two "


async def test_an_error_after_the_first_text_is_told_in_the_stream(openai: OpenAI) -> None:
    for count in (1, 3):
        messages = [user("so far [[fail no luck]]")]
        answer = await openai.post(CHAT, messages=messages, stream=True, n=count)
        assert answer.status == 200
        *chunks, last = sse_events(answer.text)
        assert "so " in told(chunks)
        error = check_error(last)
        assert (error["type"], error["code"]) == ("server_error", "backend_error")
        assert "[DONE]" not in answer.text


async def test_silence_is_no_end_and_hearts_beat_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HOLD", 0.05)
    async with serving(tmp_path, server={"heartbeat_secs": 0.05}) as openai:
        for count in (1, 2):
            messages = [user("[[silent 0.5]]one two")]
            answer = await openai.post(CHAT, messages=messages, stream=True, n=count)
            comments = [line for line in answer.text.split("\n") if line.startswith(":")]
            assert comments
            text = "\n".join(line for line in answer.text.split("\n") if line[:1] != ":")
            data = [line[6:] for line in text.split("\n") if line.startswith("data: ")]
            assert data.pop() == "[DONE]"
            chunks = [json.loads(each) for each in data]
            assert [told(chunks, index) for index in range(count)] == ["one two"] * count


async def test_a_failure_after_silence_is_told_in_the_stream(
    openai: OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HOLD", 0.05)
    answer = await openai.post(CHAT, messages=[user("[[silent 0.5]][[fail no luck]]")], stream=True)
    assert answer.status == 200
    assert "no luck" in check_error(sse_events(answer.text)[-1])["message"]


@pytest.mark.parametrize("text", ["[[silent 60]]x", "[[slow 0.05]][[long 5000]]"])
@pytest.mark.parametrize("count", [1, 3])
async def test_a_caller_who_leaves_ends_the_turns(openai: OpenAI, text: str, count: int) -> None:
    service = openai.service
    before = service.turns()
    body = json.dumps(
        {"model": "echo", "messages": [user(text)], "stream": True, "n": count}
    ).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(
        b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % ((PREFIX + CHAT).encode(), len(body), body)
    )
    if "long" in text:
        async with asyncio.timeout(30):
            await reader.readuntil(b"word1")
    else:
        await until(lambda: service.turns() == before + count)
    writer.close()
    await service.idle()
    assert service.figures().busy == 0
    assert content(await openai.chat("there?")) == "there?"


async def test_the_stream_names_what_is_ignored(openai: OpenAI) -> None:
    answer = await openai.post(CHAT, messages=[user("x")], stream=True, logprobs=True)
    assert answer.headers["X-Clinvk-Ignored"] == "logprobs"
