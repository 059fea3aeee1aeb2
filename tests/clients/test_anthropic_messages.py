"""The official Anthropic Python SDK, its newest major version and the one before."""

from __future__ import annotations

import pytest
import pytest_asyncio

from .reading import is_ordered, spoken
from .stage import EVERY, REAL, Run, Stages, backends, python_client

pytestmark = pytest.mark.timeout(300)

SDKS = [
    pytest.param(*backend.values, sdk, marks=backend.marks)
    for sdk in ("anthropic-2", "anthropic-1")
    for backend in backends(*EVERY)
    # The local model takes its time, and answers both in the same way.
    if (*backend.values, sdk) != ("local", "anthropic-1")
]
EVERYWHERE = pytest.mark.parametrize(("backend", "sdk"), SDKS)
WITH_PROVIDER = pytest.mark.parametrize(
    ("backend", "sdk"), [one for one in SDKS if one.values[0] in REAL]
)


@pytest_asyncio.fixture(loop_scope="session")
async def run(stages: Stages, backend: str, sdk: str) -> Run:
    return await stages.run(backend, python_client(sdk, "anthropic_messages"))


def assert_in_order(run: Run, marker: str, question: str, answer: str) -> None:
    """Before the newest prompt the provider got this question and this answer."""
    assert spoken(run.turn(marker))[:2] == [("user", question), ("assistant", answer)]


@EVERYWHERE
def test_a_message(run: Run) -> None:
    told = run.result("create")
    assert run.is_reply(told["text"], "create")
    assert told["role"] == "assistant"
    assert told["stop"] == "end_turn" or (run.backend, told["stop"]) == ("local", "max_tokens")
    assert told["id"].startswith("msg_")
    assert told["request_id"]
    usage = told["usage"]
    if run.backend in REAL:
        assert usage["input_tokens"] + usage["cache_read_input_tokens"] == 31
    if run.backend in ("claude", "codex"):
        assert usage["cache_read_input_tokens"] == 7
    assert usage["output_tokens"] > 0


@EVERYWHERE
@pytest.mark.parametrize("case", ["bearer", "beta"])
def test_other_ways_to_ask(run: Run, case: str) -> None:
    assert run.is_reply(run.result(case), case)


@EVERYWHERE
def test_the_base_url_may_end_in_the_version(run: Run) -> None:
    text, listed = run.result("base_url_with_version")
    assert run.is_reply(text, "base_url_with_version")
    assert listed


@EVERYWHERE
def test_a_stream(run: Run) -> None:
    told = run.result("stream")
    assert run.is_reply(told["text"], "stream")
    kinds = [kind for kind in told["kinds"] if kind != "ping"]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert set(kinds[2:-3]) == {"content_block_delta"}
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]


@EVERYWHERE
def test_the_stream_helper_puts_the_message_together(run: Run) -> None:
    told = run.result("stream_helper")
    assert run.is_reply(told["text"], "stream_helper")
    assert told["pieces"] == told["text"]
    assert told["stop"] == "end_turn" or (run.backend, told["stop"]) == ("local", "max_tokens")
    assert told["output_tokens"] > 1


@EVERYWHERE
def test_the_asynchronous_client(run: Run) -> None:
    first, second = run.result("asynchronous")
    assert run.is_reply(first, "asynchronous_1")
    assert run.is_reply(second, "asynchronous_2")


@EVERYWHERE
def test_the_raw_response_names_what_is_ignored(run: Run) -> None:
    told = run.result("raw_response")
    assert run.is_reply(told["text"], "raw_response")
    assert "inference_geo" in told["ignored"].split(", ")
    assert told["request_id"]


@EVERYWHERE
def test_a_conversation(run: Run) -> None:
    assert run.is_reply(run.result("conversation"), "conversation")
    if run.backend in REAL:
        assert is_ordered(run.turn("conversation"), "Be brief.")
        assert_in_order(run, "conversation", "I am called Ada.", "Hello Ada.")


@EVERYWHERE
def test_a_chat_that_sends_its_history_again_is_continued(run: Run) -> None:
    told = run.result("five_turns")
    for number, text in enumerate(told["texts"]):
        assert run.is_reply(text, f"five_turns_{number}")
    assert told["continued"] == 4
    if run.backend in REAL:
        roles = [role for role, _ in spoken(run.turn("five_turns_4"))]
        assert roles == ["user", "assistant"] * 4 + ["user"]


@EVERYWHERE
def test_counting(run: Run) -> None:
    assert 100 < run.result("count_tokens") < 200


@EVERYWHERE
def test_models(run: Run) -> None:
    told = run.result("models")
    assert told["ids"][0] == run.backend
    assert told["one"] == [run.backend, "model", run.backend, 2025]


@WITH_PROVIDER
def test_reasoning_comes_as_the_agent_tells_it(run: Run) -> None:
    *thoughts, answer = run.result("thinking")
    assert answer["text"] == "Seen. marker=thinking"
    assert "".join(thought["thinking"] for thought in thoughts) == "Let me see."
    if run.backend == "claude":
        assert [thought["signature"] for thought in thoughts] == ["ZmFrZQ=="]


@WITH_PROVIDER
def test_stop_sequences(run: Run) -> None:
    assert run.result("stop_sequence") == ["stop_sequence", "two"]


@WITH_PROVIDER
def test_the_length_limit(run: Run) -> None:
    assert run.result("max_tokens") == "max_tokens"
    assert len(run.turns("max_tokens")) == 1


@WITH_PROVIDER
def test_a_stream_that_is_closed_ends_the_turn(run: Run) -> None:
    assert run.result("closed_stream").startswith("word1")
    assert run.unfinished == 0
