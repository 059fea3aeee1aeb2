"""The official Anthropic JavaScript SDK."""

from __future__ import annotations

import pytest
import pytest_asyncio

from .reading import is_ordered
from .stage import REAL, Run, Stages, backends, javascript_client

pytestmark = pytest.mark.timeout(300)

EVERYWHERE = pytest.mark.parametrize("backend", backends(*REAL, "echo"))
WITH_PROVIDER = pytest.mark.parametrize("backend", backends(*REAL))


@pytest_asyncio.fixture(loop_scope="session")
async def run(stages: Stages, backend: str) -> Run:
    return await stages.run(backend, javascript_client("anthropic_sdk", stages.folder))


@EVERYWHERE
def test_messages_whole_and_streamed(run: Run) -> None:
    whole, streamed = run.result("create"), run.result("stream")
    assert run.is_reply(whole["text"], "create")
    assert whole["stop"] == "end_turn"
    assert whole["usage"]["output_tokens"] > 0
    assert whole["request_id"]
    assert run.is_reply(streamed["text"], "stream")
    assert streamed["kinds"][0] == "message_start"
    assert streamed["kinds"][-1] == "message_stop"
    assert run.is_reply(run.result("base_url_with_version"), "versioned")


@EVERYWHERE
def test_the_stream_helper_puts_the_message_together(run: Run) -> None:
    pieces, final = run.result("stream_helper")
    assert run.is_reply(final, "stream_helper")
    assert pieces == final


@EVERYWHERE
def test_a_conversation(run: Run) -> None:
    assert run.is_reply(run.result("conversation"), "conversation")
    if run.backend in REAL:
        assert is_ordered(run.turn("conversation"), "Be brief.")


@EVERYWHERE
def test_counting_and_models(run: Run) -> None:
    assert 100 < run.result("count_tokens") < 200
    ids, one = run.result("models")
    assert ids[0] == one == run.backend


@EVERYWHERE
@pytest.mark.parametrize(
    ("case", "name", "status", "kind"),
    [
        ("unknown_model", "NotFoundError", 404, "not_found_error"),
        ("no_messages", "BadRequestError", 400, "invalid_request_error"),
    ],
)
def test_errors(run: Run, case: str, name: str, status: int, kind: str) -> None:
    error = run.result(case)
    assert (error["class"], error["status"], error["type"]) == (name, status, kind)
    assert error["request_id"]


@WITH_PROVIDER
def test_a_rate_limit_of_the_provider(run: Run) -> None:
    error = run.result("rate_limited")
    assert (error["class"], error["type"]) == ("RateLimitError", "rate_limit_error")
