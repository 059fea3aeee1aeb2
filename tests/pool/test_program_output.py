"""Asking an agent's program something beside the protocol it serves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from clinvkd.drivers.base import Exchange, RunProgram
from clinvkd.pool import Spawner, State, descendants, program_output
from clinvkd.pool.program_output import ProgramOutputs

from .driver import One
from .stage import PATIENCE, backend, children, say, stage, until

pytestmark = pytest.mark.timeout(60)

ENVIRONMENT = {"PATH": os.defpath, "KEY": "one"}


class Asker:
    """A program in `folder` that notes each of its runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spawner = Spawner()
        self._outputs = ProgramOutputs()
        self.program = folder / "program"
        self.write("echo one; echo two")

    def write(self, script: str) -> None:
        self.program.write_text(f"#!/bin/sh\necho $$ >> {self._folder}/runs\n{script}\n")
        self.program.chmod(0o700)

    async def ask(
        self, *arguments: str, environment: Mapping[str, str] = ENVIRONMENT
    ) -> bytes | None:
        async with asyncio.timeout(PATIENCE):
            return await self._outputs.get(
                self._spawner,
                [str(self.program), *arguments],
                cwd=self._folder,
                environment=environment,
            )

    @property
    def runs(self) -> list[int]:
        runs = self._folder / "runs"
        return [int(line) for line in runs.read_text().split()] if runs.exists() else []


@pytest.fixture
def asker(tmp_path: Path) -> Asker:
    return Asker(tmp_path)


async def test_a_program_is_asked_once(asker: Asker) -> None:
    answers = await asyncio.gather(*(asker.ask("a") for _ in range(5)))
    assert answers == [b"one\ntwo"] * 5
    assert len(asker.runs) == 1


async def test_what_belongs_to_one_agent_makes_no_difference(asker: Asker) -> None:
    for number in ("1", "2"):
        own = {"TMPDIR": f"/tmp/{number}", descendants.MARKER: number}
        await asker.ask(environment={**ENVIRONMENT, **own})
    assert len(asker.runs) == 1


async def test_another_question_environment_or_version_is_asked_anew(asker: Asker) -> None:
    await asker.ask("a")
    await asker.ask("b")
    await asker.ask("a", environment={**ENVIRONMENT, "KEY": "two"})
    assert len(asker.runs) == 3
    asker.write("echo newer than before")
    assert await asker.ask("a") == b"newer than before"


async def test_a_failure_is_none_and_is_tried_again(asker: Asker) -> None:
    asker.write("echo half; exit 3")
    assert await asker.ask() is None
    assert await asker.ask() is None
    assert len(asker.runs) == 2
    asker.program.unlink()
    assert await asker.ask() is None


async def test_a_program_that_does_not_end_is_ended(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program_output, "_PATIENCE", 2)
    asker.write("echo half; exec sleep 600")
    assert await asker.ask() is None
    assert not psutil.pid_exists(asker.runs[0])


class Curious(One):
    """Asks the program before it greets the agent."""

    question: tuple[str, ...] = ("--help",)

    def start(self) -> Exchange[None]:
        printed = yield RunProgram(self.question)
        self.warnings = ("nothing" if printed is None else printed.decode(),)
        yield from super().start()


class Misguided(Curious):
    """Asks it something it does not know."""

    question = ("--no-such-option",)


class Patient(Curious):
    """Asks it something it never answers."""

    question = ()


@pytest.mark.parametrize(("driver", "answer"), [(Curious, "usage: "), (Misguided, "nothing")])
async def test_a_handshake_is_given_the_answer(
    tmp_path: Path, driver: type[One], answer: str
) -> None:
    async with stage(backend(), tmp_path, driver) as pool:
        assert await say(pool, "hello") == "hello"
        (warning,) = pool.crew.warnings
        assert warning.startswith(answer)


async def test_an_agent_that_is_stopped_while_it_asks_leaves_nothing(tmp_path: Path) -> None:
    others = children()
    async with stage(backend(spares=1), tmp_path, Patient) as pool:
        await until(lambda: len(children() - others) == 2)
        (agent,) = pool.crew
        assert agent.state is State.STARTING
    # The stage looks for what is left.
