"""The engine: the default backend, what is kept of turns, and a change of configuration."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from clinvkd.config import Settings
from clinvkd.engine import Engine
from clinvkd.errors import BackendUnavailable, ConfigError, NotFound, ShuttingDown
from clinvkd.events import Completed
from clinvkd.intake import Asked
from clinvkd.keys import OWNER
from clinvkd.pool.turn import Way
from clinvkd.prompt import Prompt

from .api.service import until
from .pools import prompt, text_of

ECHO = {"driver": "acp", "command": [sys.executable, "-m", "clinvkd.agents.echo"]}
OFF = {"enabled": False}


def settings(**sections: Any) -> Settings:
    return Settings.model_validate({"default_backend": "echo", **sections})


@asynccontextmanager
async def running(environ: Mapping[str, str], **sections: Any) -> AsyncIterator[Engine]:
    engine = Engine(settings(**sections), environ)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.aclose()


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment without agents; what the engine keeps on disk is below `tmp_path`."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "private"))
    (tmp_path / "private").mkdir()
    return {"PATH": str(tmp_path / "no-programs"), "HOME": str(tmp_path)}


async def say(engine: Engine, asked: Prompt) -> str:
    events = []
    async with engine.turn(asked) as turn:
        async for batch in turn:
            events += batch
    assert isinstance(events[-1], Completed)
    return text_of(events)


async def test_a_folder_is_looked_at_outside_of_the_loop(
    environ: dict[str, str], tmp_path: Path
) -> None:
    async with running(environ) as engine:
        messages = prompt("hi").messages
        approved = await engine.approve(Asked(messages=messages, workdir=str(tmp_path)), OWNER)
        assert approved.prompt.workdir == tmp_path
        assert (await engine.approve(Asked(messages=messages), OWNER)).prompt.workdir is None


def program(folder: Path, name: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("#!/bin/sh\nexit 1\n")
    (folder / name).chmod(0o755)


async def test_the_default_is_the_first_agent_that_is_there(
    environ: dict[str, str], tmp_path: Path
) -> None:
    engine = Engine(
        settings(
            default_backend="auto", backends={"local": OFF, "mine": {**ECHO, "enabled": True}}
        ),
        environ,
    )
    assert engine.default_backend() == ("mine", "the first agent CLI that is available")
    await engine.aclose()
    for name in ("gemini", "codex"):
        program(Path(environ["PATH"]), name)
        engine = Engine(settings(default_backend="auto", backends={"mine": ECHO}), environ)
        assert engine.default_backend()[0] == name
        await engine.aclose()


async def test_an_embedded_agent_is_warmed_up_only_as_the_default(environ: dict[str, str]) -> None:
    async with running(environ, default_backend="echo", backends={"mine": ECHO}) as engine:
        await until(lambda: engine.pool("echo").figures().spares == 1)
        assert engine.pool("local").figures().agents == 0
        await until(lambda: engine.pool("mine").figures().spares == 1)
    async with running(environ, default_backend="mine", backends={"mine": ECHO}) as engine:
        await until(lambda: engine.pool("mine").figures().spares == 1)
        assert engine.pool("echo").figures().agents == 0


async def test_without_any_backend_it_runs_and_says_so(environ: dict[str, str]) -> None:
    off = {"local": OFF, "echo": OFF}
    async with running(environ, default_backend="auto", backends=off) as engine:
        with pytest.raises(BackendUnavailable, match="no backend is available"):
            engine.default_backend()


async def test_a_new_configuration_keeps_pools_that_are_the_same(environ: dict[str, str]) -> None:
    async with running(environ, backends={"mine": ECHO}) as engine:
        asked = prompt("remember", backend="echo")
        await say(engine, asked)
        before = engine.pool("echo"), engine.pool("mine")
        changed = {"mine": {**ECHO, "pool": {"spares": 0}}}
        await engine.reload(settings(backends=changed))
        assert engine.pool("echo") is before[0]
        assert engine.pool("mine") is not before[1]
        await say(engine, prompt("more", ("user", "remember"), ("assistant", "remember"),
                                 backend="echo"))  # fmt: skip
        assert engine.pool("echo").figures().turns[Way.CONTINUE] == 1


async def test_a_running_turn_outlives_its_configuration(environ: dict[str, str]) -> None:
    async with running(environ) as engine:
        old = engine.pool("echo")
        async with engine.turn(prompt("[[slow 0.05]]one two three", backend="echo")) as turn:
            events = await anext(turn)
            await engine.reload(settings(backends={"echo": {"environment": {"NEW": "1"}}}))
            assert '"NEW"' in await say(engine, prompt("[[env]]", backend="echo"))
            async for batch in turn:
                events += batch
        assert text_of(events) == "one two three"
        await until(lambda: old.figures().agents == 0)
        with pytest.raises(ShuttingDown):
            async with old.turn(prompt("late", backend="echo"), 10):
                pass


async def test_a_backend_that_is_taken_away_is_gone(environ: dict[str, str]) -> None:
    async with running(environ, backends={"mine": ECHO}) as engine:
        asked = Asked(messages=prompt("hi").messages, backend="mine")
        approved = await engine.approve(asked, OWNER)
        await engine.reload(settings())
        with pytest.raises(BackendUnavailable, match="no backend 'mine' any more"):
            await say(engine, approved.prompt)
        with pytest.raises(NotFound):
            await engine.approve(asked, OWNER)
        assert "mine" not in [report.name for report in engine.report()]


async def test_a_wrong_configuration_changes_nothing(environ: dict[str, str]) -> None:
    async with running(environ) as engine:
        before = engine.settings, engine.pool("echo")
        with pytest.raises(ConfigError, match=r"backends\.echo\.model"):
            await engine.reload(settings(backends={"echo": {"model": "-x"}}))
        assert (engine.settings, engine.pool("echo")) == before
        assert await say(engine, prompt("hi", backend="echo")) == "hi"


async def test_a_wrong_configuration_at_the_start_leaves_no_folder(
    environ: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"backends\.gemini\.quirks\.imagse"):
        Engine(settings(backends={"gemini": {"quirks": {"imagse": True}}}), environ)
    assert not list((tmp_path / "private").iterdir())


async def test_draining_refuses_new_turns_and_ends_old_ones(environ: dict[str, str]) -> None:
    async with running(environ) as engine:
        async with engine.turn(prompt("[[slow 600]]one two", backend="echo")) as turn:
            await anext(turn)
            draining = asyncio.gather(engine.drain(0.05))
            with pytest.raises(ShuttingDown):
                async for _ in turn:
                    pass
            await draining
        with pytest.raises(ShuttingDown):
            await say(engine, prompt("late", backend="echo"))


async def test_nothing_is_left_after_the_end(environ: dict[str, str], tmp_path: Path) -> None:
    async with running(environ) as engine:
        await say(engine, prompt("hi", backend="echo"))
        pids = [agent.pid for agent in engine.pool("echo").crew]
        assert list((tmp_path / "private").iterdir())
    assert not list((tmp_path / "private").iterdir())
    for pid in pids:
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_what_a_killed_daemon_left_is_removed(
    environ: dict[str, str], tmp_path: Path
) -> None:
    program = "from clinvkd.pool import PrivateFolder; print(PrivateFolder().path)"
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program,
        env={**environ, "TMPDIR": str(tmp_path / "private")}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    folder = Path((await killed.communicate())[0].decode().strip())
    left = [each.name for each in (tmp_path / "private").iterdir()]
    assert left == [folder.name]
    async with running(environ):
        await until(lambda: not folder.exists())
