"""Threads of the newest official Anthropic Python SDK: only new messages are sent."""

from __future__ import annotations

import pytest
import pytest_asyncio

from .reading import is_ordered, spoken
from .stage import REAL, Run, Stages, backends, python_client

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.parametrize("backend", backends(*REAL, "echo")),
]


@pytest_asyncio.fixture(loop_scope="session")
async def run(stages: Stages, backend: str) -> Run:
    return await stages.run(backend, python_client("anthropic-2", "anthropic_threads"))


def test_a_thread(run: Run) -> None:
    told = run.result("thread")
    for number, text in enumerate(told["texts"]):
        assert run.is_reply(text, f"thread_{number}")
    assert told["continues"]
    assert told["held"] == 6
    if run.backend in REAL:
        request = run.turn("thread_2")
        assert is_ordered(request, "Be brief.")
        assert [role for role, _ in spoken(request)] == ["user", "assistant"] * 2 + ["user"]


def test_a_thread_that_streams(run: Run) -> None:
    told = run.result("streamed")
    assert run.is_reply(told["texts"][1], "streamed_1")
    assert told["continues"]
    if run.backend in REAL:
        assert len(spoken(run.turn("streamed_1"))) == 3


def test_a_lost_thread_is_sent_again_as_a_whole(run: Run) -> None:
    told = run.result("lost")
    assert run.is_reply(told["text"], "lost_1")
    assert told["continues"]
    if run.backend in REAL:
        assert len(spoken(run.turn("lost_1"))) == 3


def test_the_tool_runner(run: Run) -> None:
    assert run.is_reply(run.result("runner"), "runner")


def test_what_does_not_go_with_threads(run: Run) -> None:
    assert run.result("unsupported")["class"] == "ThreadUnsupportedRequestError"
