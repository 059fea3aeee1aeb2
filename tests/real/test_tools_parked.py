"""Conversations that wait for results of the caller's tools: for minutes, and through crashes."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from ..providers import RecordedRequest
from .tools_stage import CLIS, DIALECTS, SHOWN, Caller, Scene, scene

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

PATIENT_CALLER = 180.0
"""Seconds a caller takes for its tools. Three minutes are longer than the usual time limits, of
30, 60 and 120 seconds, of HTTP and MCP clients."""


def topic(caller: Caller) -> str:
    return f"{caller.cli}{type(caller).__name__}"


async def ask_all(callers: list[Caller]) -> None:
    await asyncio.gather(*(caller.ask(topic(caller)) for caller in callers))


async def bring_all(callers: list[Caller]) -> None:
    await asyncio.gather(*(caller.bring() for caller in callers))
    for caller in callers:
        assert caller.text == f"So I found {topic(caller)}.", topic(caller)


def check_pairs(scene: Scene, callers: list[Caller]) -> None:
    """The last request of each conversation holds one native call and its result."""
    for caller in callers:
        requests = scene.providers[caller.cli].turns
        seen = [pair for one in requests if (pair := _pair(caller.cli, one, topic(caller)))]
        assert seen, topic(caller)
        name, result = seen[-1]
        assert name == SHOWN[caller.cli].format("look_up")
        assert f"found {topic(caller)}" in result


def _pair(cli: str, request: RecordedRequest, topic: str) -> tuple[str, str] | None:
    """Name and result of the only call in a request, if that is for `topic`; ids must agree."""
    calls: dict[Any, str] = {}
    results: dict[Any, str] = {}
    for part in _parts(cli, request):
        match part:
            case {"type": "tool_use", "id": call, "name": name, "input": {"topic": found}}:
                calls[call] = name if found == topic else ""
            case {"type": "tool_result", "tool_use_id": call, "content": content}:
                results[call] = str(content)
            case {"type": "function_call", "call_id": call, "name": name, "arguments": text}:
                calls[call] = name if f'"{topic}"' in text else ""
            case {"type": "function_call_output", "call_id": call, "output": output}:
                results[call] = output
            case {"functionCall": {"id": call, "name": name, "args": {"topic": found}}}:
                calls[call] = name if found == topic else ""
            case {"functionResponse": {"id": call, "response": response}}:
                results[call] = str(response)
    if len(calls) != 1 or calls.keys() != results.keys():
        return None
    (name,), (result,) = calls.values(), results.values()
    return (name, result) if name else None


def _parts(cli: str, request: RecordedRequest) -> list[Any]:
    match cli:
        case "codex":
            return list(request.body["input"])
        case "gemini":
            return [part for content in request.body["contents"] for part in content["parts"]]
        case _:
            contents = [message["content"] for message in request.body["messages"]]
            return [part for content in contents if isinstance(content, list) for part in content]


@pytest.mark.timeout(420)
async def test_results_may_take_no_time_or_three_minutes(tmp_path: Path) -> None:
    # One process of claude holds one conversation; none must be given up for another.
    async with scene(tmp_path, agents=8) as stage, stage.serving() as running:
        patient, quick = running.callers(), running.callers()
        await ask_all(patient)
        waiting = asyncio.get_running_loop().create_task(asyncio.sleep(PATIENT_CALLER))
        await ask_all(quick)
        await bring_all(quick)
        at_once = await running.ways("continue")
        await waiting
        await bring_all(patient)
        check_pairs(stage, patient)
        later = await running.ways("continue")
    assert at_once == dict.fromkeys(CLIS, len(DIALECTS))
    assert later == dict.fromkeys(CLIS, 2 * len(DIALECTS))


async def test_agents_that_die_while_they_wait_lose_nothing(tmp_path: Path) -> None:
    async with scene(tmp_path, agents=4, spares=0) as stage, stage.serving() as running:
        callers = running.callers()
        await ask_all(callers)
        await running.kill_agents()
        await bring_all(callers)
        check_pairs(stage, callers)
        assert await running.ways("continue") == dict.fromkeys(CLIS, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_daemon_that_ends_while_they_wait_loses_nothing(
    number: signal.Signals, tmp_path: Path
) -> None:
    async with scene(tmp_path, agents=4, spares=0) as stage:
        async with stage.serving() as running:
            callers = running.callers()
            await ask_all(callers)
            agents = running.daemon.children()
            running.daemon.signal(number)
            await running.daemon.ended()
            # Without a daemon nobody ends them: they have to see that it is gone.
            _, alive = await asyncio.to_thread(psutil.wait_procs, agents, 60)
            assert not alive, [agent.cmdline() for agent in alive]
        async with stage.serving() as running:
            for caller in callers:
                caller.http, caller.url = running.http, running.daemon.url
            await bring_all(callers)
            check_pairs(stage, callers)
