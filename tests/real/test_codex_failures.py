"""The codex driver in the pool with the real CLI: what goes wrong."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from clinvkd.errors import (
    AgentExited,
    BackendError,
    BackendRefused,
    BackendUnavailable,
    ClinvkError,
    RateLimited,
    TurnTimeout,
)
from clinvkd.events import (
    Completed,
)

from ..pools import text_of
from ..providers import DEFAULT_TEXT
from .codex_stage import Stage, WithoutWebSockets, asked, directed, failure, staged

pytestmark = pytest.mark.real


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as stage:
        yield stage


async def test_killed_agent(stage: Stage) -> None:
    text = directed(words=9, hold_after=2)
    async with asyncio.TaskGroup() as group:
        turn = group.create_task(failure(stage.pool, asked(text)))
        await stage.provider.wait_for_held()
        for pid in filter(None, stage.pids):
            os.kill(pid, signal.SIGKILL)
    assert isinstance(turn.result().error, AgentExited)
    assert text_of(await stage.ask("again")) == DEFAULT_TEXT


@pytest.mark.parametrize(
    ("directive", "error", "says", "requests"),
    [
        ({"error": 400}, BackendRefused, "", 1),
        ({"error": 401}, BackendUnavailable, "codex login", 1),
        ({"error": 404}, BackendRefused, "", 1),
        ({"error": 429}, RateLimited, "", 1),
        ({"error": {"status": 429, "retry_after": 1}}, RateLimited, "", 1),
        ({"error": 500}, BackendError, "failed", 2),
        ({"error": 503}, BackendUnavailable, "", 2),
        ({"fail_after": 2}, BackendUnavailable, "", 1),
        ({"fail_after": 2, "fail_kind": "context_length_exceeded"}, BackendRefused, "window", 1),
        ({"cut_after": 2}, BackendError, "stream ended early", 1),
        ({"cut_after": 0}, BackendError, "stream ended early", 1),
    ],
)
async def test_failing_provider(
    stage: Stage, directive: Any, error: type[ClinvkError], says: str, requests: int
) -> None:
    failed = await failure(stage.pool, asked(directed(words=4, **directive)))
    assert type(failed.error) is error
    assert says in failed.error.message
    assert len(stage.provider.turns) == requests
    pieces = directive.get("cut_after", directive.get("fail_after", 0))
    assert failed.text == "".join(f"word{number} " for number in range(1, pieces + 1))
    assert text_of(await stage.ask("again")) == DEFAULT_TEXT


async def test_answer_cut_short(stage: Stage) -> None:
    events = await stage.ask(directed(words=2, stop="max_tokens"))
    assert text_of(events) == "word1 word2 "
    assert isinstance(events[-1], Completed)
    assert events[-1].stop_reason == "max_tokens"


async def test_silent_provider(stage: Stage) -> None:
    failed = await failure(stage.pool, asked(directed(silent=True)), secs=10)
    assert isinstance(failed.error, TurnTimeout)
    await stage.provider.wait_for_disconnects(1)
    assert text_of(await stage.ask("again")) == DEFAULT_TEXT


async def test_unreachable_provider(tmp_path: Path) -> None:
    def edit(home: Path, url: str) -> None:
        settings = home / "config.toml"
        settings.write_text(settings.read_text().replace(url, "http://127.0.0.1:9"))

    async with staged(tmp_path, edit) as stage:
        with pytest.raises(BackendUnavailable, match="cannot reach"):
            await stage.ask("hello")


async def test_text_longer_than_the_context_is_refused_not_summarised(stage: Stage) -> None:
    with pytest.raises(BackendRefused) as raised:
        await stage.ask("word " * 300_000)
    assert raised.value.param == "prompt"
    assert stage.provider.turns == []


async def test_long_text_arrives_whole(stage: Stage) -> None:
    text = "x" * 500_000
    await stage.ask(text)
    assert stage.provider.turns[0].last_user_text == text


async def test_nobody_logged_in(tmp_path: Path) -> None:
    def edit(home: Path, url: str) -> None:
        (home / "config.toml").write_text("check_for_update_on_startup = false\n")

    async with staged(tmp_path, edit) as stage:
        with pytest.raises(BackendUnavailable, match="codex login"):
            await stage.ask("hello")


async def test_built_in_provider_that_repeats_a_stream(tmp_path: Path) -> None:
    # Its retries cannot be switched off.
    def edit(home: Path, url: str) -> None:
        (home / "config.toml").write_text(f'openai_base_url = "{url}/v1"\n')
        (home / "auth.json").write_text('{"OPENAI_API_KEY": "fake-key"}')

    async with staged(tmp_path, edit, WithoutWebSockets) as stage:
        failed = await failure(stage.pool, asked(directed(words=4, cut_after=2)))
        assert "stream ended early" in failed.error.message
        assert failed.text == "word1 word2 "
        assert text_of(await stage.ask("again")) == DEFAULT_TEXT
