"""Clients that would ask for ever are told to stop in a way that stops them."""

from __future__ import annotations

import pytest
import pytest_asyncio

from clinvkd.config import ServerSettings
from clinvkd.loop_guard import WORDS

from .stage import Run, Stages, backends, python_client

pytestmark = pytest.mark.timeout(300)

LIMITS = ServerSettings()
CLASSES = {"langchain": "OpenAIInvalidRequestError"}
"""Exceptions that are not the SDK's own."""


@pytest_asyncio.fixture(loop_scope="session")
async def run(stages: Stages, backend: str) -> Run:
    return await stages.run(backend, python_client("openai-3", "loops"))


@pytest.mark.parametrize("backend", backends("echo"))
@pytest.mark.parametrize(
    "case", ["openai_chat", "openai_stream", "anthropic_messages", "langchain"]
)
def test_a_client_that_sends_the_same_again_ends(run: Run, case: str) -> None:
    end = run.result(case)
    assert end["status"] == 400
    assert end["class"] == CLASSES.get(case, "BadRequestError")
    assert end["steps"] == WORDS * LIMITS.loop_guard_repeats
    assert end["refused"] == 1  # the SDK did not try it again
    if case != "anthropic_messages":
        assert end["code"] == "loop_detected"


@pytest.mark.parametrize("backend", backends("codex"))
def test_a_tool_runner_whose_model_repeats_its_call_ends(run: Run) -> None:
    end = run.result("tool_runner")
    assert (end["class"], end["status"]) == ("BadRequestError", 400)
    assert end["refused"] == 1
    assert end["looked"] == LIMITS.loop_guard_rounds
    assert len(run.requests) == LIMITS.loop_guard_rounds
