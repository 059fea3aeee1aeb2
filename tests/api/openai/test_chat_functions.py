"""The form before tools has room for one call in an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clinvkd.api.openai.chat_encoder import ChatEncoder
from clinvkd.events import Completed, Event, RequestArguments, RequestStarted

from .talk import CHAT, OpenAI, user

FUNCTION = {"name": "weather", "parameters": {"type": "object"}}
TWO_CALLS = '[[call weather {"city": "Rome"}]] [[call weather {"city": "Oslo"}]]'


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("stream", [False, True])
async def test_an_agent_is_asked_for_one_call_at_a_time(openai: OpenAI, stream: bool) -> None:
    body: dict[str, Any] = {"messages": [user(TWO_CALLS)], "functions": [FUNCTION]}
    if stream:
        found = [one for chunk in await openai.chunks(CHAT, **body) for one in chunk["choices"]]
        assert_one_call([choice["delta"] for choice in found])
    else:
        [choice] = (await openai.json(CHAT, **body))["choices"]
        assert_one_call([choice["message"]])


def test_a_stream_tells_only_the_first_call_of_an_agent_that_makes_two() -> None:
    encoder = ChatEncoder("m", reasoning=False, include_usage=False, legacy=True)
    events: list[Event] = [
        RequestStarted("call_1", "weather"),
        RequestArguments("call_1", '{"city": '),
        RequestArguments("call_1", '"Rome"}'),
        RequestStarted("call_2", "weather"),
        RequestArguments("call_2", '{"city": "Oslo"}'),
        Completed("tool_use"),
    ]
    *chunks, done = encoder.feed((0, events)).decode().strip().split("\n\n")
    assert done == "data: [DONE]"
    choices = [json.loads(chunk.removeprefix("data: "))["choices"][0] for chunk in chunks]
    assert_one_call([choice["delta"] for choice in choices])
    assert choices[-1]["finish_reason"] == "function_call"


def assert_one_call(messages: list[dict[str, Any]]) -> None:
    """Put together, the message or its deltas call for Rome alone, and only in this form."""
    assert not any("tool_calls" in message for message in messages)
    calls = [message["function_call"] for message in messages if "function_call" in message]
    assert "".join(call.get("name", "") for call in calls) == "weather"
    assert json.loads("".join(call["arguments"] for call in calls)) == {"city": "Rome"}
