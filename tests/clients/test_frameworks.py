"""One real conversation with each of the libraries that people build on the OpenAI API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import pytest_asyncio

from .reading import is_ordered, schemas, spoken
from .stage import EVERY, REAL, Run, Stages, backends, client_named

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.parametrize("backend", backends(*EVERY)),
]


def clients(*names: str) -> pytest.MarkDecorator:
    """The clients of a test: environment and program."""
    return pytest.mark.parametrize("client", names)


@pytest_asyncio.fixture(loop_scope="session")
async def run(stages: Stages, backend: str, client: str) -> Run:
    return await stages.run(backend, client_named(client, stages))


def assert_conversation(run: Run, text: Any, marker: str) -> None:
    """The answer came, and before it the provider got the conversation all of them send."""
    assert run.is_reply(text, marker)
    if run.backend in REAL:
        request = run.turn(marker)
        assert is_ordered(request, "Be brief.")
        assert spoken(request) == [
            ("user", "I am called Ada."),
            ("assistant", "Hello Ada."),
            ("user", f"Say hello marker={marker}"),
        ]


def assert_two_turns(run: Run, texts: Sequence[str], marker: str) -> None:
    """Both answers came, and the second question came with the first one and its answer."""
    first, second = texts
    assert run.is_reply(first, f"{marker}_1")
    assert run.is_reply(second, f"{marker}_2")
    if run.backend in REAL:
        request = run.turn(f"{marker}_2")
        assert is_ordered(request, "Be brief.")
        assert spoken(request) == [
            ("user", f"Say hello marker={marker}_1"),
            ("assistant", first),
            ("user", f"Say hello marker={marker}_2"),
        ]


@clients("openai-3/langchain_chat", "node/langchain")
def test_langchain(run: Run) -> None:
    invoked, streamed = run.result("invoke"), run.result("stream")
    assert_conversation(run, invoked["text"], "invoke")
    assert invoked["usage"]["input_tokens"] > 0
    assert_conversation(run, streamed["text"], "stream")
    assert [usage["input_tokens"] > 0 for usage in streamed["usage"]] == [True]
    assert_conversation(run, run.result("responses")["text"], "responses")
    assert_conversation(run, run.result("responses_stream"), "responses_stream")


@clients("openai-3/langchain_chat")
def test_langchain_takes_the_responses_api_for_codex_models(run: Run) -> None:
    chosen = run.result("chosen_by_name")
    assert chosen["id"].startswith("resp_")
    assert_conversation(run, chosen["text"], "chosen_by_name")


@clients("openai-3/langchain_chat")
def test_langchain_has_structured_output(run: Run) -> None:
    if run.backend not in REAL:
        assert "structured" not in run.outcomes
        return
    assert run.result("structured") == ["Weather", {"city": "Oslo", "degrees": 3}]
    wanted = {"city", "degrees"}
    if run.backend == "gemini":
        # It takes a schema only for a new session, and one with a history is loaded: there it is
        # asked in words, and what it answers is checked.
        assert all(name in run.turns("structured")[0].last_user_text for name in wanted)
        return
    assert [s for s in schemas(run.turns("structured")[0]) if s["properties"].keys() == wanted]


@clients("openai-2/llama_index_like")
def test_llama_index(run: Run) -> None:
    assert_conversation(run, run.result("chat"), "chat")
    assert_conversation(run, run.result("stream_chat"), "stream_chat")
    assert run.is_reply(run.result("complete"), "complete")
    assert run.is_reply(run.result("stream_complete"), "stream_complete")


@clients("node/ai_sdk")
def test_vercel_ai_sdk(run: Run) -> None:
    for case in ("generate", "stream", "chat_generate", "chat_stream"):
        told = run.result(case)
        assert_conversation(run, told["text"], case)
        assert told["finish"] == "stop"
        assert told.get("failures", []) == []
    if run.backend in REAL:
        assert run.result("generate")["usage"]["inputTokens"] == 31


@clients("openai-2/litellm_completion")
def test_litellm(run: Run) -> None:
    whole = run.result("whole")
    assert_conversation(run, whole["text"], "whole")
    assert whole["usage"] > 0
    assert_conversation(run, run.result("streamed"), "streamed")
    assert run.is_reply(run.result("responses"), "responses")
    assert run.result("unknown_model") == 404


@clients("openai-3/agents_sdk")
def test_openai_agents_sdk(run: Run) -> None:
    assert_two_turns(run, run.result("responses"), "responses")
    assert_two_turns(run, run.result("chat"), "chat")
    deltas, final = run.result("streamed")
    assert run.is_reply(final, "streamed")
    assert deltas == final


@clients("openai-3/llm_command")
def test_llm(run: Run) -> None:
    assert_two_turns(run, run.result("conversation"), "conversation")
    assert run.is_reply(run.result("whole"), "whole")
