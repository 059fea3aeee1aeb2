"""The claude driver with the real CLIs: interrupts, limits and failures."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from clinvkd.drivers.claude import ClaudeDriver
from clinvkd.errors import (
    AgentExited,
    BackendError,
    BackendRefused,
    BackendUnavailable,
    ClinvkError,
    RateLimited,
    TurnTimeout,
)
from clinvkd.events import Event, TextDelta
from tests.pools import ask, backend, running_pool, text_of
from tests.providers import AnthropicProvider
from tests.real_agents import prepare, require

from .claude_stage import BOTH, asked, collect, completed, stage

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


# Ends


@BOTH
async def test_leaving_interrupts_and_the_backend_stays_usable(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        async with on.pool.turn(asked('%%{"words":9,"hold_after":2}%%'), 60) as turn:
            async for batch in turn:
                if any(isinstance(event, TextDelta) for event in batch):
                    break
        await on.provider.wait_for_disconnects(1)
        assert text_of(await on.ask("still there?")) == "Hello from the fake provider."
        assert on.provider.active == 0


@BOTH
async def test_leaving_at_once_leaves_no_request_behind(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        async with on.pool.turn(asked('%%{"words":9,"hold_after":2}%%'), 60):
            pass
        assert text_of(await on.ask("still there?")) == "Hello from the fake provider."
        await on.pool.drain(0)
        await on.provider.wait_for_idle()


@BOTH
async def test_max_tokens_is_reported_and_not_worked_around(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        events = await on.ask('%%{"text":"cut off here","chunks":3,"stop":"max_tokens"}%%')
        assert text_of(events) == "cut off here"
        assert completed(events).stop_reason == "max_tokens"
        assert completed(events).usage.output_tokens == 13
        await on.pool.drain(0)
        await on.provider.wait_for_idle()
        assert len(on.provider.turns) <= 2  # the second is cut before it says anything


@BOTH
async def test_a_refusal_is_an_answer(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        events = await on.ask('%%{"text":"I cannot.","stop":"refusal"}%%')
        assert text_of(events) == "I cannot."
        assert completed(events).stop_reason == "refusal"
        assert len(on.provider.turns) == 1


@BOTH
async def test_a_killed_agent_costs_one_turn(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        held = asked('%%{"words":9,"hold_after":2}%%')
        async with on.pool.turn(held, 60) as killed, on.pool.turn(held, 60) as other:
            await on.provider.wait_for_active(2)
            pid = killed.conversation.agent.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(AgentExited):
                await collect(killed, [])
            on.provider.release()
            events: list[Event] = []
            await collect(other, events)
        assert text_of(events).split() == [f"word{number}" for number in range(1, 10)]


# Failures of the provider


@BOTH
@pytest.mark.parametrize(
    ("directive", "error", "param"),
    [
        ('{"error":400}', BackendRefused, None),
        ('{"error":401}', BackendUnavailable, None),
        ('{"error":403}', BackendUnavailable, None),
        ('{"error":404}', BackendRefused, "model"),
        ('{"error":{"status":429,"retry_after":2}}', RateLimited, None),
        ('{"error":500}', BackendError, None),
        ('{"error":529}', BackendUnavailable, None),
        (
            '{"error":{"status":400,"message":"prompt is too long: 9 > 8"}}',
            BackendRefused,
            "prompt",
        ),
    ],
)
async def test_a_failing_provider_is_told_at_once(
    name: str, directive: str, error: type[ClinvkError], param: str | None, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as on:
        with pytest.raises(error) as raised:
            await on.ask(f"%%{directive}%%")
        assert type(raised.value) is error
        assert raised.value.param == param
        # What was refused is asked again without the newest features; nothing was answered yet.
        assert len(on.provider.turns) == 1 or raised.value.status == 400


@BOTH
@pytest.mark.parametrize("directive", ['"cut_after":3', '"fail_after":3'])
async def test_a_broken_stream_is_told_and_never_repeated(
    name: str, directive: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as on:
        events: list[Event] = []
        broken = asked(f'%%{{"words":9,"delay":0.05,{directive}}}%%')
        async with on.pool.turn(broken, 60) as turn:
            with pytest.raises(ClinvkError) as raised:
                await collect(turn, events)
        assert raised.value.status >= 500
        assert "word1 word2 word3 ".startswith(text_of(events))
        assert len(on.provider.turns) == 1


async def test_a_provider_that_cannot_be_reached_is_unavailable(tmp_path: Path) -> None:
    async with stage("claude", tmp_path) as on:
        await on.provider.__aexit__(None, None, None)
        with pytest.raises(BackendUnavailable):
            await on.ask("hello?")


async def test_a_silent_provider_runs_into_our_own_limit(tmp_path: Path) -> None:
    async with stage("claude", tmp_path, first_byte_timeout_secs=5) as on:
        with pytest.raises(TurnTimeout):
            await on.ask('%%{"silent":true}%%')
        assert text_of(await on.ask("and now?")) == "Hello from the fake provider."


async def test_a_prompt_beyond_the_context_is_refused(tmp_path: Path) -> None:
    async with stage("claude", tmp_path) as on:
        with pytest.raises(BackendRefused) as raised:
            await on.ask("x " * 2_500_000)
        assert raised.value.param == "prompt"
        assert not on.provider.turns


async def test_an_agent_that_is_not_logged_in_says_how_to(tmp_path: Path) -> None:
    require("claude")
    async with AnthropicProvider() as provider:
        agent = prepare("claude", provider.url, tmp_path)
        configured = backend("claude", "claude", agent.command, pool={"agents": 1, "spares": 0})
        async with running_pool(
            configured, ClaudeDriver, tmp_path / "run", agent.environment
        ) as pool:
            with pytest.raises(BackendUnavailable, match="/login"):
                await ask(pool, asked("hi"))
        assert not provider.turns
