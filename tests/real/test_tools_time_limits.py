"""Agents that would give up a call of the caller's tools after a while are told not to.

Nobody can wait ten minutes in a test: a limit of a second shows that the agent obeys the setting
that otherwise holds a limit of weeks, and what happens when a limit ends after all.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from clinvkd.drivers.acp import gemini, launch
from clinvkd.pool import Way
from clinvkd.prompt import Message, Text, ToolResult

from ..api.service import until
from .acp_stage import stage
from .test_acp_tools import PREFIXES, Dialogue, calls, exchanged, told

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.mark.parametrize("name", ["gemini", "opencode"])
async def test_a_call_that_the_agent_gave_up_is_stopped_and_its_results_are_seeded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = gemini if name == "gemini" else launch
    monkeypatch.setattr(module, "CALL_TIMEOUT_MSEC", 5_000)
    async with stage(name, tmp_path) as on:
        one = Dialogue(on)
        (call,) = await one.say(Text(told(calls(name, ("get_weather", {"city": "Oslo"})))))
        (agent,) = on.pool.crew
        (conversation,) = agent.conversations.values()
        await until(lambda: not conversation.script.reusable)
        one.messages[0] = Message("user", (Text("how is it?"),))  # the directive would call again
        assert await one.say(ToolResult(call.id, (Text("rain"),))) == []
        assert one.ways[-1] is Way.SEED
        assert one.text
        if name == "gemini":
            pair = [(PREFIXES[name] + "get_weather", {"city": "Oslo"}), ("result", "rain")]
            assert exchanged(on) == pair
        else:
            assert ">rain</tool_result>" in on.provider.turns[-1].last_user_text
