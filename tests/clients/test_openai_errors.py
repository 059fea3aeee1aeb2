"""What the official Python SDK raises for what goes wrong."""

from __future__ import annotations

import pytest
import pytest_asyncio

from .reading import holds
from .stage import REAL, SDKS, Run, Stages, python_client

pytestmark = pytest.mark.timeout(300)

EVERYWHERE = pytest.mark.parametrize(("backend", "sdk"), SDKS)
WITH_PROVIDER = pytest.mark.parametrize(
    ("backend", "sdk"), [one for one in SDKS if one.values[0] in REAL]
)


@pytest_asyncio.fixture(loop_scope="session")
async def run(stages: Stages, backend: str, sdk: str) -> Run:
    return await stages.run(backend, python_client(sdk, "openai_errors"))


@EVERYWHERE
@pytest.mark.parametrize(
    ("case", "kind", "status", "code", "param", "words"),
    [
        ("no_messages", "BadRequestError", 400, None, "messages", "at least 1 item"),
        ("wrong_type", "BadRequestError", 400, None, "temperature", "valid number"),
        ("unknown_model", "NotFoundError", 404, "model_not_found", "model", "no-such-model"),
        ("unknown_path", "NotFoundError", 404, "not_found", None, "/openai/v1/embeddings"),
        ("unknown_response", "NotFoundError", 404, "not_found", None, "resp_none"),
    ],
)
def test_a_wrong_request(
    run: Run, case: str, kind: str, status: int, code: str | None, param: str | None, words: str
) -> None:
    error = run.result(case)
    assert (error["class"], error["status"]) == (kind, status)
    assert error["type"] == "invalid_request_error"
    assert (error["code"], error["param"]) == (code, param)
    assert words in error["message"]
    assert error["request_id"]
    assert run.turns(case) == []


@EVERYWHERE
def test_client_tools_reach_the_provider(run: Run) -> None:
    assert run.result("client_tools") is None
    if run.backend in REAL:
        assert holds(run.turn("client_tools"), "weather")


@WITH_PROVIDER
def test_a_rate_limit_of_the_provider(run: Run) -> None:
    error = run.result("rate_limited")
    assert (error["class"], error["status"]) == ("RateLimitError", 429)
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert len(run.turns("rate_limited")) == 1


@WITH_PROVIDER
def test_a_failure_of_the_provider(run: Run) -> None:
    error = run.result("provider_broken")
    assert (error["class"], error["status"]) == ("InternalServerError", 500)
    assert (error["type"], error["code"]) == ("server_error", "backend_error")


@WITH_PROVIDER
def test_a_stream_that_fails_raises_after_its_text(run: Run) -> None:
    error, text = run.result("broken_stream")
    assert error["class"] == "APIError"
    assert error["code"] == "backend_unavailable"
    assert text == "word1 word2 word3 "


@WITH_PROVIDER
def test_the_time_limit_of_the_client_ends_the_turn(run: Run) -> None:
    error, quiet = run.result("too_slow")
    assert error["class"] == "APITimeoutError"
    assert quiet is True
    assert run.unfinished == 0
