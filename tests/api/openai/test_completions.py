"""The legacy completions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ..service import sse_events
from .talk import OpenAI, check_error, check_usage

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/completions"


def texts(completion: Any) -> list[str]:
    assert [choice["index"] for choice in completion["choices"]] == list(
        range(len(completion["choices"]))
    )
    return [choice["text"] for choice in completion["choices"]]


def told(chunks: list[dict[str, Any]], index: int) -> str:
    return "".join(
        choice["text"]
        for chunk in chunks
        for choice in chunk["choices"]
        if choice["index"] == index
    )


async def test_a_completion(openai: OpenAI) -> None:
    completion = await openai.json(PATH, prompt="one two")
    assert set(completion) == {
        "id", "object", "created", "model", "choices", "usage", "system_fingerprint",
    }  # fmt: skip
    assert completion["id"].startswith("cmpl-")
    assert completion["object"] == "text_completion"
    assert completion["choices"] == [
        {"index": 0, "text": "one two", "logprobs": None, "finish_reason": "stop"}
    ]
    check_usage(completion["usage"])


async def test_a_list_with_choices_each(openai: OpenAI) -> None:
    completion = await openai.json(PATH, prompt=["one", "two two"], n=2)
    assert texts(completion) == ["one", "one", "two two", "two two"]
    assert completion["usage"]["completion_tokens"] == 6


async def test_the_prompt_is_echoed_before_each_answer(openai: OpenAI) -> None:
    assert texts(await openai.json(PATH, prompt=["a ", "b "], echo=True)) == ["a a ", "b b "]
    chunks = await openai.chunks(PATH, prompt=["a ", "b "], echo=True)
    assert [told(chunks, index) for index in (0, 1)] == ["a a ", "b b "]


async def test_a_suffix_asks_for_what_stands_between(openai: OpenAI) -> None:
    (text,) = texts(await openai.json(PATH, prompt="def f(x):", suffix="return y"))
    assert text.index("<before>def f(x):</before>") < text.index("<after>return y</after>")


@pytest.mark.parametrize("model", ["echo", "plain"])
async def test_stop_and_limit(openai: OpenAI, model: str) -> None:
    stopped = await openai.json(PATH, model=model, prompt="one two three", stop=["three"])
    assert texts(stopped) == ["one two "]
    assert stopped["choices"][0]["finish_reason"] == "stop"
    cut = await openai.json(PATH, model=model, prompt="one two three four five", max_tokens=2)
    assert "one two three four five".startswith(texts(cut)[0])
    assert cut["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("asked", [{}, {"n": 3}, {"stop": "three"}, {"max_tokens": 2}])
async def test_streamed_and_whole_are_equal(openai: OpenAI, asked: dict[str, Any]) -> None:
    prompt = ["one two three four", "five six"]
    whole = await openai.json(PATH, prompt=prompt, **asked)
    chunks = await openai.chunks(
        PATH, prompt=prompt, stream_options={"include_usage": True}, **asked
    )
    assert (chunks[-1]["choices"], chunks[-1]["usage"]) == ([], whole["usage"])
    assert [told(chunks, index) for index in range(len(whole["choices"]))] == texts(whole)
    assert len({chunk["id"] for chunk in chunks}) == 1
    ends = {
        choice["index"]: choice["finish_reason"]
        for chunk in chunks
        for choice in chunk["choices"]
        if choice["finish_reason"]
    }
    assert ends == {c["index"]: c["finish_reason"] for c in whole["choices"]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": [1, 2, 3]}, "prompt"),
        ({"prompt": [[1, 2], [3]]}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt[1]"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": ["a"] * 17}, "prompt"),
        ({"prompt": ["a"] * 6, "n": 3}, "prompt"),
        ({"prompt": "x", "n": 0}, "n"),
        ({"prompt": "x", "suffix": 5}, "suffix"),
        ({"prompt": "x", "echo": "yes"}, "echo"),
        ({"prompt": "x", "max_tokens": 0}, "max_tokens"),
    ],
)
async def test_a_wrong_value_is_named(openai: OpenAI, fields: dict[str, Any], param: str) -> None:
    error = await openai.refused(PATH, param, **fields)
    if isinstance(fields.get("prompt"), list) and fields["prompt"][:1] in ([1], [[1, 2]]):
        assert "tokens are another model's" in error["message"]


async def test_what_is_not_honoured_is_named(openai: OpenAI) -> None:
    answer = await openai.post(PATH, prompt="x", best_of=3, logprobs=5, presence_penalty=0)
    assert answer.headers["X-Clinvk-Ignored"] == "best_of, logprobs"


async def test_an_error_in_the_stream(openai: OpenAI) -> None:
    answer = await openai.post(PATH, prompt="so far [[fail no luck]]", stream=True)
    *chunks, last = sse_events(answer.text)
    assert told(chunks, 0).startswith("so ")
    assert "no luck" in check_error(last)["message"]


async def test_no_system_prompt_is_made_up(openai: OpenAI) -> None:
    (text,) = texts(await openai.json(PATH, prompt="[[history]]"))
    assert json.loads(text) == {"system": None, "history": []}
