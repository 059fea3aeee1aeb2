"""Clients that get nowhere are told to stop, and nobody else is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from clinvkd.config import ServerSettings
from clinvkd.errors import LoopDetected
from clinvkd.loop_guard import MOST_REQUESTS, LoopGuard, equal_rounds
from clinvkd.loop_guard import WORDS as WORDS_PER_VAIN
from clinvkd.prompt import Message, Prompt, Text, Tool, ToolChoice, ToolResult, ToolUse

from .service import Answer, Service, serving

VAIN = 4
"""Answers in words that are let pass: echo calls a tool only when it is told to or has to."""

CHAT = "/openai/v1/chat/completions"
LOOK = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}
CHAT_TOOLS = [{"type": "function", "function": LOOK}]
LIMITS = ServerSettings(loop_guard_repeats=2, loop_guard_rounds=3, loop_guard_window_secs=60)
TOOL = Tool("look", "Looks.", {"type": "object"})
CALL = Message("assistant", (ToolUse("c", "look", {}),))
WORDS = Message("assistant", (Text("I cannot look."),))
NOTHING = Message("assistant", (Text(" "),))


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    limits = {"loop_guard_repeats": VAIN // WORDS_PER_VAIN, "loop_guard_rounds": 3}
    async with serving(tmp_path, server=limits) as running:
        yield running


async def post(service: Service, path: str, body: Any) -> Answer:
    async with service.client.post(path, json=body) as response:
        return await Answer.of(response)


async def refused(service: Service) -> Any:
    async with service.client.get("/health") as response:
        return (await response.json())["loop_guard"]["refused"]


def chat(text: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": "echo", "messages": messages, "tools": CHAT_TOOLS, **more}


# Through HTTP: what a client is told.


async def test_a_chat_that_gets_no_call_is_told_to_stop_and_not_to_retry(service: Service) -> None:
    body = chat("look")
    for _ in range(VAIN):
        assert (await post(service, CHAT, body)).status == 200
    for stream in (False, True):
        answer = await post(service, CHAT, {**body, "stream": stream})
        assert answer.status == 400
        assert answer.headers["x-should-retry"] == "false"
        assert "Retry-After" not in answer.headers
        error = answer.json["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "loop_detected")
        assert "loop_guard_repeats" in error["message"]
    assert service.turns() == VAIN
    assert await refused(service) == {"repeated_request": 2, "repeated_call": 0}
    assert (await post(service, CHAT, chat("look again"))).status == 200


async def test_the_other_dialects_say_it_in_their_words(service: Service) -> None:
    tool = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}
    said = [{"role": "user", "content": "look"}]
    messages = {"model": "echo", "max_tokens": 99, "messages": said, "tools": [tool]}
    responses = {"model": "echo", "input": "look", "tools": [{"type": "function", **LOOK}]}
    for path, body in (("/anthropic/v1/messages", messages), ("/openai/v1/responses", responses)):
        answers = [await post(service, path, body) for _ in range(VAIN + 1)]
        assert [answer.status for answer in answers] == [200] * VAIN + [400]
        assert answers[-1].headers["x-should-retry"] == "false"
        assert answers[-1].json["error"]["type"] == "invalid_request_error"
        service.engine.loop_guard = LoopGuard()  # both ask echo for the same


async def test_the_same_call_with_the_same_result_ends(service: Service) -> None:
    asked = [{"role": "user", "content": "look"}]

    def body(rounds: int, result: str = "nothing there") -> dict[str, Any]:
        said: list[Any] = list(asked)
        for number in range(rounds):
            call = {"id": f"c{number}", "type": "function"}
            call["function"] = {"name": "look", "arguments": json.dumps({"at": "it"})}  # type: ignore[assignment]
            said.append({"role": "assistant", "content": f"try {number}", "tool_calls": [call]})
            said.append({"role": "tool", "tool_call_id": f"c{number}", "content": result})
        return {"model": "echo", "messages": said, "tools": CHAT_TOOLS}

    assert (await post(service, CHAT, body(2))).status == 200
    answer = await post(service, CHAT, body(3))
    assert (answer.status, answer.json["error"]["code"]) == (400, "loop_detected")
    more = body(3)
    more["messages"].append({"role": "user", "content": "then do something else"})
    assert (await post(service, CHAT, more)).status == 200
    assert await refused(service) == {"repeated_request": 0, "repeated_call": 1}


async def test_a_loop_that_is_told_to_stop_has_cost_no_turn_more(service: Service) -> None:
    """A client that never stops, as opencode was seen to be: many requests, few turns."""
    body = chat("look")
    answers = [await post(service, CHAT, body) for _ in range(50)]
    assert [answer.status for answer in answers] == [200] * VAIN + [400] * (50 - VAIN)
    assert service.turns() == VAIN


async def test_equal_requests_without_tools_or_at_once_are_nobodys_loop(service: Service) -> None:
    plain = {"model": "echo", "messages": [{"role": "user", "content": "same"}]}
    for _ in range(20):
        assert (await post(service, CHAT, plain)).status == 200
    at_once = chat("same")
    answers = await asyncio.gather(*(post(service, CHAT, at_once) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert (await post(service, CHAT, {**at_once, "n": 5})).status == 200
    calls = chat("[[call look {}]]")
    for _ in range(20):
        assert (await post(service, CHAT, calls)).status == 200


async def test_limits_of_a_new_configuration_hold_at_once(service: Service) -> None:
    body = chat("look")
    answers = [await post(service, CHAT, body) for _ in range(VAIN + 1)]
    assert answers[-1].status == 400
    server = service.engine.settings.server.model_copy(update={"loop_guard_repeats": 0})
    settings = service.engine.settings.model_copy(update={"server": server})
    await service.engine.reload(settings)
    assert (await post(service, CHAT, body)).status == 200


# The rules.


class Clock:
    """Time that passes when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def asked(choice: ToolChoice | None = None, text: str = "look") -> Prompt:
    said = (Message("user", (Text(text),)),)
    choice = choice or ToolChoice("required")
    return Prompt(backend="b", messages=said, tools=(TOOL,), tool_choice=choice)


def turn(guard: LoopGuard, prompt: Prompt, reply: Message | None) -> bool:
    """Whether a request is let in; it is answered with `reply`, or fails."""
    try:
        with guard.turn(prompt, LIMITS) as answered:
            if reply is not None:
                answered(reply)
    except LoopDetected:
        return False
    return True


@pytest.mark.parametrize(
    ("choice", "reply", "times"),
    [
        ("required", WORDS, 2),
        ("named", WORDS, 2),
        ("auto", NOTHING, 2),
        ("auto", WORDS, 8),
    ],
)
def test_answers_in_vain_are_counted(choice: Any, reply: Message, times: int) -> None:
    guard, prompt = LoopGuard(Clock()), asked(ToolChoice(choice, "look"))
    assert [turn(guard, prompt, reply) for _ in range(times)] == [True] * times
    assert [turn(guard, prompt, reply) for _ in range(3)] == [False] * 3
    assert guard.refused["repeated_request"] == 3


@pytest.mark.parametrize(
    ("prompt", "reply"),
    [
        (asked(), CALL),
        (asked(), None),
        (asked(ToolChoice("none")), WORDS),
        (replace(asked(ToolChoice()), tools=()), NOTHING),
    ],
    ids=["a call", "a failure", "no call wanted", "no tools"],
)
def test_all_else_may_be_repeated(prompt: Prompt, reply: Message | None) -> None:
    guard = LoopGuard(Clock())
    assert all(turn(guard, prompt, reply) for _ in range(100))


def test_a_call_forgives_what_was_before() -> None:
    guard, prompt = LoopGuard(Clock()), asked()
    for reply in (WORDS, CALL, WORDS, WORDS):
        assert turn(guard, prompt, reply)
    assert not turn(guard, prompt, WORDS)


def test_another_request_or_client_or_choice_is_another() -> None:
    guard = LoopGuard(Clock())
    others = [
        asked(text="b"),
        replace(asked(), client="c"),
        asked(ToolChoice("named", "look")),
        replace(asked(), system="s"),
    ]
    for _ in range(2):
        for prompt in (asked(), *others):
            assert turn(guard, prompt, WORDS)
    for prompt in (asked(), *others):
        assert not turn(guard, prompt, WORDS)


def test_time_forgives() -> None:
    clock = Clock()
    guard, prompt = LoopGuard(clock), asked()
    for clock.now in (0, 30):
        assert turn(guard, prompt, WORDS)
    clock.now = 59
    assert not turn(guard, prompt, WORDS)
    clock.now = 61
    assert turn(guard, prompt, WORDS)
    assert not turn(guard, prompt, WORDS)


def test_answers_at_once_count_as_one() -> None:
    guard, prompt = LoopGuard(Clock()), asked()
    for _ in range(2):
        with guard.turn(prompt, LIMITS) as one, guard.turn(prompt, LIMITS) as two:
            one(WORDS)
            two(WORDS)
    assert not turn(guard, prompt, WORDS)


def test_the_memory_is_bounded() -> None:
    guard = LoopGuard(Clock())
    for number in range(MOST_REQUESTS + 10):
        assert turn(guard, asked(text=str(number)), WORDS)
    assert len(guard._asked) == MOST_REQUESTS


def round_of(number: int, result: str = "none", **arguments: Any) -> tuple[Message, Message]:
    use = ToolUse(f"c{number}", "look", arguments or {"at": "it"})
    said = Text(f"try {number}")
    given = ToolResult(f"c{number}", (Text(result),))
    return Message("assistant", (said, use)), Message("user", (given,))


def test_rounds_are_equal_by_what_was_called_and_given() -> None:
    start = (Message("user", (Text("look"),)),)
    assert equal_rounds(start) == 0
    assert equal_rounds((*start, *round_of(1))) == 1
    assert equal_rounds((*start, *round_of(1), *round_of(2), *round_of(3))) == 3
    assert equal_rounds((*start, *round_of(1), *round_of(2, "some"))) == 1
    assert equal_rounds((*start, *round_of(1, at="a"), *round_of(2), *round_of(3))) == 2
    called, given = round_of(4)
    told = Message("user", (*given.content, Text("and now?")))
    assert equal_rounds((*start, *round_of(1), called, told)) == 0
    failed = Message("user", (ToolResult("c4", (Text("none"),), is_error=True),))
    assert equal_rounds((*start, *round_of(1), called, failed)) == 1
