"""One agent: its start, its surroundings, its sudden end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from clinvkd.drivers.base import RECEIVE, Exchange, Send
from clinvkd.errors import AgentExited, BackendUnavailable
from clinvkd.events import Event
from clinvkd.pool import Agent, State
from clinvkd.pool.descendants import MARKER
from clinvkd.pool.locate import Found
from clinvkd.pool.process import Process

from ..pools import ask, prompt, text_of
from .driver import COMMAND, Many, One
from .stage import (
    LONG,
    PATIENCE,
    backend,
    beside,
    children,
    everything,
    hanging,
    house,
    ready,
    say,
    stage,
    told,
    until,
)


def agent_in(folder: Path, *flags: str, driver: type[One] = One, **limits: Any) -> Agent:
    """An agent without a pool."""
    configured = backend(*flags, **limits)
    launch = driver.launch(configured, prompt(""))
    program = Found(Path(COMMAND[0]), ())
    return Agent(configured, driver, launch, program, house(folder), lambda agent: None)


@contextlib.asynccontextmanager
async def started(agent: Agent) -> AsyncIterator[Agent]:
    try:
        await agent.start()
        yield agent
    finally:
        await agent.stop()


async def test_it_is_ready_after_its_handshake(tmp_path: Path) -> None:
    async with started(agent_in(tmp_path)) as agent:
        await agent.ready()
        assert (agent.state, agent.driver.version, agent.free) == (State.READY, "1.2.3", 1)
    assert agent.state is State.STOPPED
    assert not agent.scratch.exists()
    with pytest.raises(BackendUnavailable, match="went away"):
        await agent.ready()


@pytest.mark.parametrize(
    ("flags", "limits", "reason"),
    [
        (("--crash-while", "/"), {}, "exit status 7: no such account"),
        (("--never-ready",), {"start_timeout_secs": 0.5}, "not get ready within 0.5 s"),
    ],
)
async def test_a_start_fails_with_its_reason(
    tmp_path: Path, flags: tuple[str, ...], limits: dict[str, Any], reason: str
) -> None:
    async with started(agent_in(tmp_path, *flags, **limits)) as agent:
        with pytest.raises(BackendUnavailable, match=reason) as caught:
            await agent.ready()
        assert caught.value.retry_after == 5


async def test_a_program_that_cannot_be_run_is_a_failed_start(tmp_path: Path) -> None:
    folder = tmp_path / "no-program"
    folder.mkdir()
    agent = agent_in(tmp_path)
    agent._program = Found(folder, ())
    async with started(agent):
        assert "could not be started" in (agent.failure or "")


async def test_a_handshake_the_driver_did_not_expect_is_a_failed_start(tmp_path: Path) -> None:
    class Odd(One):
        def start(self) -> Exchange[None]:
            yield Send({"do": "hello"})
            message = yield RECEIVE
            raise KeyError(message["nothing"])

    async with started(agent_in(tmp_path, driver=Odd)) as agent:
        assert "not understood" in (agent.failure or "")


async def test_a_start_that_breaks_in_our_own_code_is_a_failed_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = agent_in(tmp_path)
    agent._program = None  # type: ignore[assignment]
    async with started(agent):
        assert "its handshake failed" in (agent.failure or "")
        assert agent.state is State.STARTING
    assert "agent start failed" in capsys.readouterr().out


async def test_an_agent_may_take_its_time_to_get_ready(tmp_path: Path) -> None:
    async with started(agent_in(tmp_path, "--ready-after", "0.3")) as agent:
        assert agent.state is State.READY


async def test_what_it_says_before_it_is_asked_is_not_lost(tmp_path: Path) -> None:
    async with started(agent_in(tmp_path, "--print-first")) as agent:
        assert agent.state is State.READY


async def test_a_handshake_that_came_before_the_process_was_ours_counts(tmp_path: Path) -> None:
    """The event loop may read the first lines while the start is still being awaited."""
    agent = agent_in(tmp_path, "--never-ready")
    agent._received([b'{"ready": true, "version": "early"}'])
    async with started(agent):
        assert (agent.state, agent.driver.version) == (State.READY, "early")


async def test_a_message_that_cannot_be_read_is_warned_of_once_and_a_banner_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with started(agent_in(tmp_path)) as agent:
        agent._received([b"Welcome!", b'{"cut": tru', b'{"cut": fals', b""])
    told = [line for line in capsys.readouterr().out.splitlines() if "not a line of JSON" in line]
    assert ["warning" in line for line in told] == [False, True, False]
    assert "column" in told[1]
    assert "cut" not in "".join(told)


async def test_an_agent_that_ends_while_it_gets_ready_did_not_start(tmp_path: Path) -> None:
    """Ready and gone in one read: whoever waits must hear of it, and its place must be free."""
    agent = agent_in(tmp_path, "--never-ready")
    loop = asyncio.get_running_loop()
    task = loop.create_task(agent.start())
    await until(lambda: agent.pid is not None)
    agent._received([b'{"ready": true, "version": "late"}'])
    agent._exited(agent._process)  # type: ignore[arg-type]
    await task
    with pytest.raises(BackendUnavailable, match="ended while it got ready"):
        await agent.ready()
    await agent.stop()


async def test_ready_and_gone_at_once_never_blocks_a_pool(tmp_path: Path) -> None:
    async with stage(backend("--exit-when-ready", agents=1), tmp_path) as pool:
        for _ in range(3):
            with pytest.raises(BackendUnavailable):
                await say(pool, "hello")
        await until(lambda: not [*pool.crew])


async def test_it_can_be_stopped_before_it_was_started(tmp_path: Path) -> None:
    agent = agent_in(tmp_path)
    await agent.stop()
    await agent.start()
    assert agent.pid is None
    with pytest.raises(BackendUnavailable, match="stopped before"):
        await agent.ready()


async def test_it_can_be_stopped_while_its_process_comes_to_be(tmp_path: Path) -> None:
    others = children()
    agent = agent_in(tmp_path)
    async with beside(agent.start()) as [start]:
        while not agent._spawning.locked():  # noqa: ASYNC110
            await asyncio.sleep(0)
        await asyncio.gather(agent.stop(), agent.stop())
        await start
    assert agent.state is State.STOPPED
    assert children() <= others
    assert not agent.scratch.exists()


async def test_it_stands_in_surroundings_made_for_it(tmp_path: Path) -> None:
    readable, writable = os.pipe()
    os.set_inheritable(writable, True)
    try:
        async with stage(backend(), tmp_path) as pool:
            seen = json.loads(await say(pool, told(chunks=0, then="surroundings")))
            [agent] = pool.crew
            scratch = agent.scratch
            for folder in (scratch, scratch / "work", scratch / "tmp", scratch / "notes" / "deep"):
                assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            for file in (scratch / "settings.json", *scratch.glob("notes/deep/*")):
                assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert json.loads((scratch / "settings.json").read_text()) == {"place": str(scratch)}
    finally:
        os.close(readable)
        os.close(writable)
    assert seen["cwd"] == str(scratch / "work")
    assert seen["leads"] == [True, True]
    assert set(seen["files"]) == {0, 1, 2}
    environment = seen["environment"]
    environment.pop("LC_CTYPE", None)  # Python's own, when no locale is set
    assert environment == {
        "HOME": str(tmp_path),
        "PATH": f"{Path(COMMAND[0]).parent}:/usr/bin:/bin",
        "TMPDIR": str(scratch / "tmp"),
        "PLACE": f"{scratch}/place",
        MARKER: agent.id,
    }


async def test_no_prompt_is_ever_on_a_command_line(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path) as pool:
        seen = json.loads(await say(pool, told(chunks=0, then="surroundings", secret="hush")))
    assert seen["argv"] == []


@pytest.mark.parametrize("driver", [One, Many])
async def test_a_killed_agent_ends_its_own_turns_and_no_other(
    tmp_path: Path, driver: type[One]
) -> None:
    limits = backend(spares=1, agents=3, conversations=1)
    async with stage(limits, tmp_path, driver) as pool:
        long = prompt(told(text="#", chunks=15, delay=0.05))
        async with beside(ask(pool, long, LONG)) as [other], pool.turn(hanging(), LONG) as turn:
            async with asyncio.timeout(PATIENCE):
                while not turn.reply.text:
                    await anext(turn)
            os.kill(turn.conversation.agent.pid or 0, signal.SIGKILL)
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(AgentExited, match="signal 9") as caught:
                    await anext(turn)
            assert caught.value.retry_after == 1
            assert text_of(await other) == "".join(map(str, range(15)))
        assert pool.figures().restarts == 1
        await until(lambda: pool.figures().spares == 1)


async def test_the_last_words_of_a_crashed_agent_are_told(tmp_path: Path) -> None:
    async with (
        stage(backend(), tmp_path) as pool,
        pool.turn(prompt(told(text="#", chunks=3, then="crash")), LONG) as turn,
    ):
        events: list[Event] = []
        with pytest.raises(AgentExited, match="exit status 3: it went wrong"):
            await everything(turn, events)
        assert text_of(events) == "012"


async def test_an_idle_agent_that_is_killed_takes_its_parked_conversations_along(
    tmp_path: Path,
) -> None:
    async with stage(backend(), tmp_path, Many) as pool:
        assert await say(pool, "a") == "a"
        [agent] = pool.crew
        os.kill(agent.pid or 0, signal.SIGKILL)
        await until(lambda: agent.state is State.STOPPED)
        figures = pool.figures()
        assert (figures.parked, figures.agents, figures.restarts) == (0, 0, 1)
        recall = told(chunks=0, then="recall")
        said = await say(pool, recall, ("user", "a"), ("assistant", "a"))
        assert json.loads(said) == ["a", "a"]


async def test_an_agent_that_closed_its_output_is_gone(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path) as pool:
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(AgentExited):
                await say(pool, told(then="mute"))
        await until(lambda: not [*pool.crew])


async def test_messages_of_no_turn_reach_the_script_and_the_driver(tmp_path: Path) -> None:
    async with stage(backend(), tmp_path, Many) as pool:
        await say(pool, "a")
        [agent] = pool.crew
        [conversation] = agent.conversations.values()
        agent._received([b'{"conversation": "%s", "late": 1}' % conversation.script.name.encode()])  # type: ignore[attr-defined]
        assert conversation.script.surprises == [  # type: ignore[attr-defined]
            {"conversation": conversation.script.name, "late": 1}  # type: ignore[attr-defined]
        ]
        agent.send({"do": "count"})
        await until(lambda: agent.driver.strays == [{"unasked": 1}])  # type: ignore[attr-defined]


async def test_an_unused_agent_was_last_used_at_its_start(tmp_path: Path) -> None:
    async with stage(backend(spares=1), tmp_path, Many) as pool:
        [agent] = await ready(pool)
        assert agent.last_used == agent.born
        async with pool.turn(hanging(), LONG) as turn:
            await anext(turn)
        await until(lambda: not agent.conversations)
        assert agent.last_used > agent.born


def test_a_process_that_left_no_status_is_described(tmp_path: Path) -> None:
    heard: list[Agent] = []
    agent = agent_in(tmp_path)
    agent._on_exit = heard.append
    agent.state = State.READY
    process = Process(house(tmp_path).spawner, lambda lines: None, lambda process: None)
    process.pid = 1
    agent._exited(process)
    assert heard == [agent]
