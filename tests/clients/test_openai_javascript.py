"""The official JavaScript SDK."""

from __future__ import annotations

import pytest
import pytest_asyncio

from .reading import holds, is_ordered, schemas, spoken
from .stage import EVERY, REAL, Run, Stages, backends, javascript_client

pytestmark = pytest.mark.timeout(300)

EVERYWHERE = pytest.mark.parametrize("backend", backends(*EVERY))
WITH_PROVIDER = pytest.mark.parametrize("backend", backends(*REAL))


@pytest_asyncio.fixture(loop_scope="session")
async def run(stages: Stages, backend: str) -> Run:
    return await stages.run(backend, javascript_client("openai_sdk", stages.folder))


@EVERYWHERE
def test_models(run: Run) -> None:
    assert run.result("models_list")[0] == run.backend
    missing = run.result("model_missing")
    assert (missing["class"], missing["code"]) == ("NotFoundError", "model_not_found")


@EVERYWHERE
def test_chat_is_answered_whole_and_streamed_alike(run: Run) -> None:
    whole, streamed = run.result("chat_create"), run.result("chat_stream")
    assert run.is_reply(whole["text"], "chat_create")
    assert whole["finish"] == "stop"
    assert whole["request_id"]
    assert streamed["role"] == "assistant"
    assert run.is_reply(streamed["text"], "chat_stream")
    if run.backend == "local":  # it samples: two answers differ, and so do their tokens
        assert min(answer["usage"]["completion_tokens"] for answer in (whole, streamed)) > 0
    else:
        assert streamed["usage"] == whole["usage"]
    if run.backend in REAL:
        assert whole["usage"]["prompt_tokens"] == 31


@EVERYWHERE
def test_the_stream_helper_puts_the_answer_together(run: Run) -> None:
    pieces, final = run.result("chat_stream_helper")
    assert run.is_reply(final, "chat_stream_helper")
    assert pieces == final


@WITH_PROVIDER
def test_an_answer_is_parsed(run: Run) -> None:
    assert run.result("parse") == {"city": "Oslo", "degrees": 3}
    wanted = {"city", "degrees"}
    assert [s for s in schemas(run.turns("parse")[0]) if s["properties"].keys() == wanted]


@EVERYWHERE
def test_history_keeps_its_roles(run: Run) -> None:
    assert run.is_reply(run.result("history"), "history")
    if run.backend in REAL:
        request = run.turn("history")
        assert is_ordered(request, "First rule: be brief.", "Second rule: be kind.")
        assert spoken(request) == [
            ("user", "I am called Ada."),
            ("assistant", "Hello Ada."),
            ("user", "Say hello marker=history"),
        ]


@EVERYWHERE
def test_what_is_not_honoured_is_named(run: Run) -> None:
    text, header = run.result("ignored")
    assert run.is_reply(text, "ignored")
    assert header == "logprobs"


@EVERYWHERE
def test_completions_and_responses(run: Run) -> None:
    assert run.is_reply(run.result("completions_create"), "completions_create")
    status, text = run.result("responses_create")
    assert status == "completed"
    assert run.is_reply(text, "responses_create")
    numbers, last, streamed = run.result("responses_stream")
    assert numbers == list(range(len(numbers)))
    assert last == "response.completed"
    assert run.is_reply(streamed, "responses_stream")


@EVERYWHERE
def test_responses_are_kept_and_continued(run: Run) -> None:
    text, after = run.result("responses_stored")
    assert run.is_reply(text, "responses_stored_2")
    assert after["class"] == "NotFoundError"
    if run.backend in REAL:
        roles = [role for role, _ in spoken(run.turn("responses_stored_2"))]
        assert roles == ["user", "assistant", "user"]


@WITH_PROVIDER
def test_a_client_that_leaves_ends_its_turn(run: Run) -> None:
    assert run.result("closed_stream") == ["word1 ", True]
    left, quiet = run.result("too_slow")
    assert left["class"] == "APIConnectionTimeoutError"
    assert quiet is True
    assert run.unfinished == 0


@EVERYWHERE
def test_a_wrong_request(run: Run) -> None:
    error = run.result("no_messages")
    assert (error["class"], error["status"]) == ("BadRequestError", 400)
    assert error["param"] == "messages"


@WITH_PROVIDER
def test_client_tools_reach_the_provider(run: Run) -> None:
    assert run.result("client_tools") is None
    assert holds(run.turn("client_tools"), "weather")


@WITH_PROVIDER
@pytest.mark.parametrize(
    ("case", "kind", "status"),
    [
        ("rate_limited", "RateLimitError", 429),
        ("provider_broken", "InternalServerError", 500),
    ],
)
def test_a_failure_of_the_provider(run: Run, case: str, kind: str, status: int) -> None:
    error = run.result(case)
    assert (error["class"], error["status"]) == (kind, status)
