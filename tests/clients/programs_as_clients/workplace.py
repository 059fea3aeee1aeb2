"""Where a program works: a private home, a folder with a file, and a daemon for its provider."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ClientSession

from ...providers import RecordedRequest
from ...real_agents import RealAgent
from ..scenes import exchanges
from ..stage import Stage, staged
from .task import FIRST_WORDS, LAST_WORDS, Model, Step

PATIENCE = 150.0
"""Seconds a program may take."""

FILE = "notes.txt"
BEFORE, AFTER = "alpha\n", "beta\n"

KNOWN_TO_CODEX = "gpt-5.5"
"""Another name of the backend's model, one that the Codex CLI has its own settings for."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """A daemon with one backend, whose model carries out tasks with the tools of its clients."""

    stage: Stage
    model: Model

    async def carry_out(
        self, program: RealAgent, marker: str, steps: tuple[Step, ...], *arguments: str
    ) -> str:
        """Have a program edit its file in these steps, and check that all went as it must.

        Args:
            program: points at the daemon.
            marker: names the task; no other has it.
            steps: reading the file is the first, editing it the last.
            arguments: of the program, up to the prompt.

        Returns:
            What it printed.
        """
        assert self.stage.provider is not None
        file = program.directory / FILE
        file.write_text(BEFORE)
        self.model.tasks[marker] = steps
        before = await self._ways()
        prompt = f"Write beta for alpha in {FILE}. marker={marker}"
        printed = await _run(program, *arguments, prompt)
        ways = await self._ways() - before
        assert FIRST_WORDS in printed
        assert LAST_WORDS in printed
        assert file.read_text() == AFTER
        # Each round goes on in the conversation that waits for its results.
        assert ways["continue"] == len(steps), ways
        _check(self.model.turns(marker, self.stage.provider.turns), steps)
        return printed

    async def _ways(self) -> Counter[str]:
        """How many turns found their conversation in which way."""
        async with (
            ClientSession() as client,
            client.get(f"{self.stage.daemon.url}/health") as response,
        ):
            reports = (await response.json())["backends"]
        [pool] = [one["pool"] for one in reports if one["name"] == self.stage.backend]
        return Counter(pool["turns"])


@asynccontextmanager
async def workplace(backend: str, folder: Path) -> AsyncIterator[Workplace]:
    """A daemon with that backend; skips or fails the running test when it cannot be had here."""
    model = Model()
    async with staged(backend, folder, model, alias=KNOWN_TO_CODEX) as stage:
        yield Workplace(stage, model)


async def _run(program: RealAgent, *arguments: str) -> str:
    """What a program prints; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *program.command, *arguments,
        cwd=program.directory, env=program.environment, stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, (output, errors)
    return output.decode()


def _check(turns: list[RecordedRequest], steps: tuple[Step, ...]) -> None:
    """The provider was asked once for each step and for the answer, with all that was done."""
    assert [len(exchanges(turn)) for turn in turns] == list(range(len(steps) + 1))
    done = exchanges(turns[-1])
    for exchange, step in zip(done, steps, strict=True):
        assert exchange.name.endswith(step.tool)
        # Claude Code, as an agent too, fills in the defaults of a tool that it knows.
        assert step.arguments.items() <= exchange.arguments.items()
        assert not exchange.is_error, exchange.result
    assert BEFORE.strip() in done[0].result
