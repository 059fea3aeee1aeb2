"""A pool of a real ACP agent before a fake provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinvkd.drivers.acp import AcpDriver
from clinvkd.events import Event
from clinvkd.pool import Pool
from clinvkd.prompt import Prompt
from tests.pools import ask, backend, prompt, running_pool
from tests.providers import FakeProvider, Script, obey_directives
from tests.real_agents import AGENTS, RealAgent, prepare, require

ARGUMENTS = {"gemini": ("--acp",), "opencode": ("acp",), "qwen": ("--acp",)}
"""All that a configuration names beside the program: the agents need nothing else."""

MODELS = {"gemini": "gemini-2.5-flash"}
"""gemini routes by a model call of its own when it is not given one."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A pool of a real agent, and the provider behind it."""

    name: str
    pool: Pool
    provider: FakeProvider
    agent: RealAgent

    def asked(self, text: str, *history: tuple[str, str], **options: Any) -> Prompt:
        return prompt(
            text, *history, backend=self.name, **{"model": MODELS.get(self.name), **options}
        )

    async def ask(self, text: str, *history: tuple[str, str], **options: Any) -> list[Event]:
        return await ask(self.pool, self.asked(text, *history, **options))

    @property
    def pids(self) -> list[int | None]:
        return [agent.pid for agent in self.pool.crew]


@asynccontextmanager
async def stage(
    name: str, tmp_path: Path, script: Script = obey_directives, **pool: Any
) -> AsyncIterator[Stage]:
    require(name)
    async with AGENTS[name](script) as provider:
        agent = prepare(name, provider.url, tmp_path)
        configured = backend(
            name,
            "acp",
            (*agent.command, *ARGUMENTS[name]),
            environment=agent.environment,
            pool={"agents": 1, "spares": 1, "start_timeout_secs": 100, **pool},
        )
        default = prompt("", backend=name, model=MODELS.get(name))
        async with running_pool(configured, AcpDriver, tmp_path / "run", {}, default) as running:
            yield Stage(name, running, provider, agent)
