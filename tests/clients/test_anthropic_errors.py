"""What the official Anthropic Python SDK raises for what goes wrong."""

from __future__ import annotations

import pytest
import pytest_asyncio

from ..providers import DEFAULT_TEXT
from .stage import REAL, Run, Stages, python_client
from .test_anthropic_messages import SDKS

pytestmark = pytest.mark.timeout(300)

EVERYWHERE = pytest.mark.parametrize(
    ("backend", "sdk"), [one for one in SDKS if one.values[0] in (*REAL, "echo")]
)
WITH_PROVIDER = pytest.mark.parametrize(
    ("backend", "sdk"), [one for one in SDKS if one.values[0] in REAL]
)


@pytest_asyncio.fixture(loop_scope="session")
async def run(stages: Stages, backend: str, sdk: str) -> Run:
    return await stages.run(backend, python_client(sdk, "anthropic_errors"))


@EVERYWHERE
@pytest.mark.parametrize(
    ("case", "name", "status", "kind", "words"),
    [
        ("no_messages", "BadRequestError", 400, "invalid_request_error", "messages: list should"),
        ("wrong_type", "BadRequestError", 400, "invalid_request_error", "temperature: "),
        ("prefill", "BadRequestError", 400, "invalid_request_error", "prefill"),
        ("unknown_model", "NotFoundError", 404, "not_found_error", "no-such-model"),
        ("model_missing", "NotFoundError", 404, "not_found_error", "no-such-model"),
        ("unknown_path", "NotFoundError", 404, "not_found_error", "/messages/batches"),
        ("from_a_page", "PermissionDeniedError", 403, "permission_error", "another origin"),
        (
            "too_large",
            "ContentTooLargeError RequestTooLargeError",
            413,
            "request_too_large",
            "larger than",
        ),
    ],
)
def test_a_wrong_request(
    run: Run, case: str, name: str, status: int, kind: str, words: str
) -> None:
    error = run.result(case)
    assert error["status"] == status
    assert error["class"] in name.split()  # one was renamed between the major versions
    assert error["body"]["error"]["type"] == kind
    assert words in error["body"]["error"]["message"]
    assert error["request_id"] == error["body"]["request_id"]
    assert run.turns(case) == []


@WITH_PROVIDER
def test_a_rate_limit_of_the_provider(run: Run) -> None:
    error = run.result("rate_limited")
    assert (error["class"], error["status"]) == ("RateLimitError", 429)
    assert error["body"]["error"]["type"] == "rate_limit_error"
    assert len(run.turns("rate_limited")) == 1


@WITH_PROVIDER
def test_a_failure_of_the_provider(run: Run) -> None:
    error = run.result("provider_broken")
    assert error["class"] in ("InternalServerError", "ServiceUnavailableError")
    assert error["body"]["error"]["type"] == "api_error"


@WITH_PROVIDER
def test_a_stream_that_breaks(run: Run) -> None:
    error, text = run.result("broken_stream")
    assert error["body"]["error"]["type"] in ("api_error", "overloaded_error")
    assert text in ("word1 word2 word3 ", "word1 word2 ", "word1 word2 word3")
    assert DEFAULT_TEXT not in text


@WITH_PROVIDER
def test_the_clients_own_patience(run: Run) -> None:
    assert run.result("too_slow")["class"] == "APITimeoutError"
    assert run.unfinished == 0
