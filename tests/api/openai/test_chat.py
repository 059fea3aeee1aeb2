"""Whole chat completions: choices, limits, what is honoured and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from .talk import CHAT, OpenAI, content, error_of, serving, user

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_completion(openai: OpenAI) -> None:
    completion = await openai.chat("one two")
    assert completion["model"] == "echo"
    assert content(completion) == "one two"
    assert completion["choices"][0]["finish_reason"] == "stop"
    usage = completion["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (2, 2)


async def test_ids_are_unique(openai: OpenAI) -> None:
    assert len({(await openai.chat("x"))["id"] for _ in range(20)}) == 20


@pytest.mark.parametrize("model", ["echo", "plain"])
@pytest.mark.parametrize(
    ("text", "stop", "answer"),
    [
        ("one two three four", "three", "one two "),
        ("one two three four", ["four", "two"], "one "),
        ("one two three four", "o three f", "one tw"),
        ("aab aab aac", "aac", "aab aab "),
        ("eins zwei drëi vier", "ëi v", "eins zwei dr"),
        ("a 👩‍👩‍👧 b 👩‍👧 c", "👩‍👧", "a 👩\u200d"),
        ("one two", "one", ""),
        ("one two", ["", "two"], "one "),
        ("one two", [], "one two"),
        ("one two", None, "one two"),
        ("one two", "three", "one two"),
        ("one two", "two three", "one two"),
    ],
)
async def test_stop(openai: OpenAI, model: str, text: str, stop: Any, answer: str) -> None:
    for streamed in (False, True):
        if streamed:
            chunks = await openai.chunks(CHAT, model=model, messages=[user(text)], stop=stop)
            deltas = [c["delta"].get("content") for chunk in chunks for c in chunk["choices"]]
            said = "".join(filter(None, deltas))
        else:
            completion = await openai.chat(text, model=model, stop=stop)
            said = content(completion)
            assert completion["choices"][0]["finish_reason"] == "stop"
        assert said == answer


@pytest.mark.parametrize("model", ["echo", "plain"])
@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_a_limit_ends_the_answer(openai: OpenAI, model: str, field: str) -> None:
    text = "one two three four five six"
    completion = await openai.chat(text, model=model, **{field: 2})
    assert completion["choices"][0]["finish_reason"] == "length"
    assert text.startswith(content(completion))
    assert 0 < len(content(completion)) < len(text)
    enough = await openai.chat(text, model=model, **{field: 100})
    assert (content(enough), enough["choices"][0]["finish_reason"]) == (text, "stop")


@pytest.mark.parametrize("count", [1, 2, 16])
async def test_choices(openai: OpenAI, count: int) -> None:
    completion = await openai.chat("one two", n=count)
    assert [content({"choices": [each]}) for each in completion["choices"]] == ["one two"] * count
    assert completion["usage"]["completion_tokens"] == 2 * count


async def test_more_choices_than_agents(openai: OpenAI) -> None:
    completion = await openai.chat("one two", model="narrow", n=4)
    assert [each["message"]["content"] for each in completion["choices"]] == ["one two"] * 4


async def test_one_failure_of_several_choices_is_the_answer(openai: OpenAI) -> None:
    for more in ({}, {"n": 3}, {"stream": True}, {"n": 3, "stream": True}):
        answer = await openai.post(CHAT, messages=[user("[[fail no luck]]")], **more)
        error = error_of(answer)
        assert (answer.status, error["type"], error["code"]) == (
            500, "server_error", "backend_error",
        )  # fmt: skip
        assert "no luck" in error["message"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, None),
        ({"reasoning_effort": None}, None),
        ({"reasoning_effort": "none"}, None),
        ({"reasoning_effort": "low"}, "so so "),
        ({"include_reasoning": True}, "so so "),
        ({"include_reasoning": False, "reasoning_effort": "high"}, None),
    ],
)
async def test_reasoning_is_told_only_when_asked(
    openai: OpenAI, asked: dict[str, Any], told: str | None
) -> None:
    completion = await openai.chat("[[think so so]] done", **asked)
    reasoning = completion["choices"][0]["message"].get("reasoning_content")
    assert (reasoning or "").strip() == (told or "").strip()
    assert completion["usage"]["completion_tokens_details"]["reasoning_tokens"] == 2


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({"logprobs": True, "top_logprobs": 3}, "logprobs, top_logprobs"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"metadata": {"a": "b"}, "store": True}, "metadata, store"),
        ({"never_heard_of": {"a": [1]}}, "never_heard_of"),
        ({"frequency_penalty": 0, "service_tier": "auto", "logit_bias": {}, "audio": None}, None),
        ({"modalities": ["text"], "parallel_tool_calls": True, "tool_choice": "none"}, None),
        ({"user": "u", "stop": "x", "stream": False, "n": 1}, None),
        ({"bad\r\nX-Evil: 1": 1, "größe": 1, "x" * 65: 1, "": 1}, None),
    ],
)
async def test_what_is_not_honoured_is_named(
    openai: OpenAI, fields: dict[str, Any], ignored: str | None
) -> None:
    answer = await openai.post(CHAT, messages=[user("x")], **fields)
    assert answer.status == 200, answer.text
    assert answer.headers.get("X-Clinvk-Ignored") == ignored
    assert "X-Evil" not in answer.headers


async def test_a_great_many_unknown_fields(openai: OpenAI) -> None:
    answer = await openai.post(CHAT, messages=[user("x")], **{f"f{i}": 1 for i in range(5_000)})
    assert answer.headers["X-Clinvk-Ignored"].count(",") == 31


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f g"}}]}, "tools[0].function.name"),
        ({"functions": [{"name": ""}]}, "functions[0].name"),
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"model": "x" * 300}, "model"),
        ({"model": "echo/-x"}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": True}, "stream_options"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"n": 0}, "n"),
        ({"n": 17}, "n"),
        ({"n": "2"}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"max_completion_tokens": "all"}, "max_completion_tokens"),
        ({"stop": 5}, "stop"),
        ({"stop": ["a", 5]}, "stop[1]"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"stop": "a" * 1_001}, "stop"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"seed": 2**70}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"user": 5}, "user"),
        ({"metadata": {str(i): "x" for i in range(17)}}, "metadata"),
        ({"metadata": {"k": "x" * 513}}, "metadata.k"),
        ({"metadata": {"k": 5}}, "metadata.k"),
        ({"metadata": []}, "metadata"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": "x"}}},
            "response_format.json_schema.schema",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": 5}}}},
            "response_format.json_schema.schema",
        ),
    ],
)
async def test_a_wrong_value_is_named(openai: OpenAI, fields: dict[str, Any], param: str) -> None:
    turns = openai.service.turns()
    error = await openai.refused(CHAT, param, **{"messages": [user("x")], **fields})
    assert error["code"] is None
    assert openai.service.turns() == turns


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity"])
async def test_numbers_that_json_does_not_have(openai: OpenAI, word: bytes) -> None:
    for field in (b"temperature", b"unknown"):
        body = b'{"model":"echo","messages":[{"role":"user","content":"x"}],"%s":%s}' % (
            field,
            word,
        )
        answer = await openai.request("POST", CHAT, body)
        assert answer.status == 400
        assert "not valid JSON" in error_of(answer)["message"]
    assert await openai.text(word.decode()) == word.decode()


async def test_an_unavailable_backend(openai: OpenAI) -> None:
    answer = await openai.post(CHAT, model="claude", messages=[user("x")])
    error = error_of(answer)
    assert (answer.status, error["type"], error["code"]) == (
        503, "server_error", "backend_unavailable",
    )  # fmt: skip


async def test_a_full_backend_says_when_to_come_again(tmp_path: Any) -> None:
    pool = {"agents": 1, "conversations": 1, "queue_length": 0}
    async with serving(tmp_path, backends={"echo": {"pool": pool}}) as openai:
        answer = await openai.post(CHAT, messages=[user("x")], n=3)
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) >= 1
        assert await openai.text("still there") == "still there"


async def test_the_prefix_and_its_methods(openai: OpenAI) -> None:
    assert (await openai.request("HEAD", "")).status == 200
    options = await openai.request("OPTIONS", "")
    assert (options.status, options.text) == (204, "")
    assert "POST" in options.headers["Allow"]
    missing = await openai.request("GET", "/nowhere")
    assert (missing.status, error_of(missing)["type"]) == (404, "invalid_request_error")
    wrong = await openai.request("GET", CHAT)
    assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")
    assert error_of(wrong)["type"] == "invalid_request_error"
    form = await openai.request("POST", CHAT, b"{}", {"Content-Type": "text/plain"})
    assert (form.status, error_of(form)["type"]) == (415, "invalid_request_error")


async def test_twenty_turns_that_resend_their_history(openai: OpenAI) -> None:
    messages: list[Any] = [{"role": "system", "content": "twenty turns"}]
    before = openai.ways()
    for number in range(1, 21):
        messages.append(user(f"turn {number}"))
        completion = await openai.chat(messages)
        messages.append(completion["choices"][0]["message"])
        # Echo counts all it holds: each earlier message once.
        words = sum(len(str(message["content"]).split()) for message in messages[:-1])
        assert completion["usage"]["prompt_tokens"] == words
    after = openai.ways()
    assert after["continue"] - before.get("continue", 0) == 19
    held = await openai.held(messages)
    assert openai.ways()["continue"] - after["continue"] == 1
    assert held["system"] == "twenty turns"
    assert len(held["history"]) == 40
