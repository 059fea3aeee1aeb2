"""One real conversation with each of the libraries that people build on the Anthropic API."""

from __future__ import annotations

import pytest
import pytest_asyncio

from .reading import is_ordered
from .stage import REAL, Run, Stages, backends, client_named
from .test_anthropic_messages import assert_in_order
from .test_frameworks import clients

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.parametrize("backend", backends(*REAL, "echo")),
]


@pytest_asyncio.fixture(loop_scope="session")
async def run(stages: Stages, backend: str, client: str) -> Run:
    return await stages.run(backend, client_named(client, stages))


def assert_conversation(run: Run, text: object, marker: str) -> None:
    """The answer came, and before it the provider got the conversation all of them send."""
    assert run.is_reply(text, marker)
    if run.backend in REAL:
        assert is_ordered(run.turn(marker), "Be brief.")
        assert_in_order(run, marker, "I am called Ada.", "Hello Ada.")


@clients("openai-3/anthropic_langchain", "node/anthropic_langchain")
def test_langchain(run: Run) -> None:
    whole = run.result("invoke")
    assert_conversation(run, whole["text"], "invoke")
    assert whole["input"] > 0
    assert_conversation(run, run.result("stream"), "stream")


@clients("openai-3/anthropic_langchain")
def test_langchain_goes_on(run: Run) -> None:
    first, second = run.result("two_turns")
    assert run.is_reply(first, "two_turns_1")
    assert run.is_reply(second, "two_turns_2")
    if run.backend in REAL:
        assert_in_order(run, "two_turns_2", "Say hello marker=two_turns_1", first)


@clients("openai-2/anthropic_litellm")
def test_litellm(run: Run) -> None:
    whole = run.result("whole")
    assert_conversation(run, whole["text"], "whole")
    assert whole["usage"] > 0
    assert_conversation(run, run.result("streamed"), "streamed")
    assert run.result("unknown_model") == 404


@clients("node/anthropic_ai_sdk")
def test_vercel_ai_sdk(run: Run) -> None:
    for case in ("generate", "stream"):
        told = run.result(case)
        assert_conversation(run, told["text"], case)
        assert told["finish"] == "stop"
        assert told.get("failures", []) == []
    if run.backend in REAL:
        assert run.result("generate")["input"] == 31
