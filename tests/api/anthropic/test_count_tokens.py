"""`POST /messages/count_tokens`: an estimate that says so."""

from __future__ import annotations

from typing import Any

import pytest

from .talk import PNG, Anthropic, assistant, error_of, image, text, user

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def count(anthropic: Anthropic, *messages: Any, **body: Any) -> int:
    whole = {"model": "echo", "messages": list(messages), **body}
    answer = await anthropic.request("POST", "/messages/count_tokens?beta=true", whole)
    assert answer.status == 200, answer.text
    assert answer.headers["X-Clinvk-Estimated"] == "input_tokens"
    assert list(answer.json) == ["input_tokens"]
    return int(answer.json["input_tokens"])


async def test_everything_counts(anthropic: Anthropic) -> None:
    little = await count(anthropic, user("hi"))
    assert little >= 1
    words = "word " * 400
    tool = {"name": "weather", "description": words, "input_schema": {"type": "object"}}
    call = {"type": "tool_use", "id": "t", "name": "weather", "input": {"city": words}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [text(words)]}
    document = {"type": "text", "media_type": "text/plain", "data": words}
    cases: list[tuple[list[Any], dict[str, Any]]] = [
        ([user(words)], {}),
        ([user("hi")], {"system": words}),
        ([user("hi")], {"tools": [tool]}),
        ([user([text("hi"), image(PNG)])], {}),
        ([user([{"type": "document", "source": document}])], {}),
        ([user("hi"), assistant([call]), user([{**result, "content": "x"}])], {}),
        ([user("hi"), assistant([{**call, "input": {}}]), user([result])], {}),
    ]
    for messages, body in cases:
        assert await count(anthropic, *messages, **body) > little + 300


async def test_the_estimate_is_that_of_the_beginning_of_a_message(anthropic: Anthropic) -> None:
    messages = [user("Hello there " * 50)]
    start = (await anthropic.stream(messages, system="Be brief.")).events[0]
    told = start["message"]["usage"]["input_tokens"]
    assert told == await count(anthropic, *messages, system="Be brief.")


async def test_fields_of_messages_are_accepted(anthropic: Anthropic) -> None:
    assert await count(anthropic, user("hi"), thinking={"type": "adaptive"}, tool_choice={}) >= 1


@pytest.mark.parametrize(
    ("param", "body"),
    [
        ("messages", {"model": "echo"}),
        ("model", {"messages": [user("hi")]}),
        ("messages[0].content[0]", {"model": "echo", "messages": [user([{"type": "audio"}])]}),
    ],
)
async def test_wrong_requests(anthropic: Anthropic, param: str, body: Any) -> None:
    answer = await anthropic.request("POST", "/messages/count_tokens", body)
    assert answer.status == 400
    assert error_of(answer)["message"].startswith(param)
