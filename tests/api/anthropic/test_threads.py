"""Threads: the server holds what came before, also over its own end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .talk import Anthropic, Stream, error_of, serving, user

pytestmark = pytest.mark.asyncio(loop_scope="session")

CREATE = {"type": "create"}


def after(message: dict[str, Any]) -> dict[str, str]:
    return {"type": "continue", "previous_message_id": message["id"]}


async def test_a_thread_goes_on_in_the_same_agent(anthropic: Anthropic) -> None:
    message = await anthropic.message("one", system="Be brief.", thread=CREATE)
    before = anthropic.ways().get("continue", 0)
    for number in range(3):
        message = await anthropic.message(f"more {number}", thread=after(message))
    assert anthropic.ways()["continue"] == before + 3
    held = await anthropic.held([], thread=after(message))
    assert held["system"] == "Be brief."
    texts = [turn["content"][0]["text"] for turn in held["history"]]
    assert texts == [words for i in range(3) for words in (f"more {i}", f"more {i}")] or texts == [
        "one", "one", *(words for i in range(3) for words in (f"more {i}", f"more {i}")),
    ]  # fmt: skip


async def test_a_streamed_message_can_be_continued_too(anthropic: Anthropic) -> None:
    first = (await anthropic.stream("one", thread=CREATE)).message
    second = (await anthropic.stream("two", thread=after(first))).message
    assert await anthropic.turns([], thread=after(second)) == [
        ("user", "one"), ("assistant", "one"), ("user", "two"), ("assistant", "two"),
    ]  # fmt: skip


async def test_a_message_can_be_continued_more_than_once(anthropic: Anthropic) -> None:
    first = await anthropic.message("one", thread=CREATE)
    await anthropic.message("left", thread=after(first))
    right = await anthropic.message("right", thread=after(first))
    turns = await anthropic.turns([], thread=after(right))
    assert [text for role, text in turns if role == "user"] == ["one", "right"]


async def test_a_thread_outlives_the_daemon(tmp_path: Path) -> None:
    async with serving(tmp_path) as anthropic:
        first = await anthropic.message("one", system="Be brief.", thread=CREATE)
    async with serving(tmp_path) as anthropic:
        held = await anthropic.held([], thread=after(first))
    assert held["system"] == "Be brief."
    assert [turn["role"] for turn in held["history"]] == ["user", "assistant"]


@pytest.mark.parametrize("name", ["msg_unknown", "", None, "x\0y", "ü"])
@pytest.mark.parametrize("stream", [False, True])
async def test_an_unknown_message_says_so_that_all_is_sent_again(
    anthropic: Anthropic, name: str | None, stream: bool
) -> None:
    thread = {"type": "continue", "previous_message_id": name}
    answer = await anthropic.post("hi", thread=thread, stream=stream)
    error = error_of(answer)
    assert (answer.status, error["type"]) == (404, "not_found_error")
    assert error["details"] == {"error_code": "thread_not_found"}


async def test_a_message_without_a_thread_is_not_kept(anthropic: Anthropic) -> None:
    message = await anthropic.message("one")
    answer = await anthropic.post("two", thread=after(message))
    assert error_of(answer)["details"] == {"error_code": "thread_not_found"}


async def test_responses_of_the_other_dialect_are_no_threads(anthropic: Anthropic) -> None:
    body = {"model": "echo", "input": "one"}
    async with anthropic.service.client.post("/openai/v1/responses", json=body) as response:
        name = (await response.json())["id"]
    answer = await anthropic.post("two", thread={"type": "continue", "previous_message_id": name})
    assert answer.status == 404


@pytest.mark.parametrize("field", ["context_management", "fallbacks"])
async def test_what_does_not_go_with_threads(anthropic: Anthropic, field: str) -> None:
    given: dict[str, Any] = {field: [{"x": 1}], "thread": CREATE}
    answer = await anthropic.post("hi", **given)
    assert answer.status == 400
    details = {"error_code": "thread_unsupported_request", "unsupported": [field]}
    assert error_of(answer)["details"] == details


@pytest.mark.parametrize("stream", [False, True])
async def test_a_store_that_does_not_work_costs_the_thread_not_the_answer(
    tmp_path: Path, stream: bool
) -> None:
    # The folder of the store is a file, so there can be no database.
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".clinvk").write_text("not a folder")
    async with serving(tmp_path) as anthropic:
        answer = await anthropic.post("one", thread=CREATE, stream=stream)
        assert answer.status == 200, answer.text
        message = Stream.of(answer).message if stream else answer.json
        answer = await anthropic.post("two", thread=after(message))
        assert error_of(answer)["details"] == {"error_code": "thread_not_found"}


async def test_a_failed_turn_is_not_kept(anthropic: Anthropic) -> None:
    stream = await anthropic.stream("said [[fail it broke]]", thread=CREATE)
    assert stream.error is not None
    answer = await anthropic.post([user("more")], thread=after(stream.message))
    assert answer.status == 404


async def test_tools_are_those_of_the_thread(tmp_path: Path) -> None:
    tool = {"name": "weather", "description": "", "input_schema": {"type": "object"}}
    async with serving(tmp_path) as anthropic:
        first = await anthropic.message("one", tools=[tool], thread=CREATE)
        await anthropic.message("two", thread=after(first))
        assert anthropic.ways().get("continue", 0) == 1
