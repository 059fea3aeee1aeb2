"""A pool of the real codex before a fake provider of the Responses API."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clinvkd.drivers.codex import CodexDriver
from clinvkd.errors import (
    ClinvkError,
)
from clinvkd.events import (
    Event,
)
from clinvkd.pool import Pool
from clinvkd.prompt import (
    Prompt,
)

from ..pools import ask, backend, prompt, running_pool, text_of
from ..providers import Failure, Reply, ResponsesProvider
from ..providers.recording import JsonObject, Kind, RecordedRequest
from ..real_agents import RealAgent, prepare

MODEL = "fake-1"
"""codex gives a model it does not know its plain tools; for its newest it writes JavaScript."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A pool of the real agent, and the provider behind it."""

    pool: Pool
    provider: ResponsesProvider
    agent: RealAgent

    async def ask(self, text: str, *history: tuple[str, str], **options: Any) -> list[Event]:
        return await ask(self.pool, asked(text, *history, **options))

    @property
    def home(self) -> Path:
        """Where codex keeps its settings."""
        return Path(self.agent.environment["CODEX_HOME"])

    @property
    def pids(self) -> list[int | None]:
        return [agent.pid for agent in self.pool.crew]


class WithoutWebSockets(ResponsesProvider):
    """Sends a client that tries a WebSocket first back to plain HTTP."""

    def classify(self, method: str, path: str, body: JsonObject) -> Kind:
        return Kind.PROBE if method == "GET" else super().classify(method, path, body)

    def side_answer(self, request: RecordedRequest) -> Reply | JsonObject:
        if request.path == "/v1/responses":
            return Reply(error=Failure(426))
        return super().side_answer(request)


@asynccontextmanager
async def staged(
    folder: Path,
    edit: Callable[[Path, str], None] = lambda home, url: None,
    provider_class: type[ResponsesProvider] = ResponsesProvider,
    **options: Any,
) -> AsyncIterator[Stage]:
    """A stage; `edit` may change codex's home, given the provider's URL, before the start.

    `options` are more of the backend's configuration.
    """
    async with provider_class() as provider:
        agent = prepare("codex", provider.url, folder)
        edit(Path(agent.environment["CODEX_HOME"]), provider.url)
        configured = backend(
            "codex", "codex", agent.command, environment=agent.environment, **options
        )
        async with running_pool(
            configured, CodexDriver, folder / "run", inherited={"PATH": os.defpath}
        ) as pool:
            yield Stage(pool, provider, agent)


def asked(text: str, *history: tuple[str, str], **options: Any) -> Prompt:
    return prompt(text, *history, backend="codex", **{"model": MODEL, **options})


def directed(said: str = "go", /, **directive: Any) -> str:
    """A prompt that tells the provider what to answer."""
    return f"{said} %%{json.dumps(directive)}%%"


@dataclass(frozen=True, slots=True)
class Failed:
    """A turn that failed, and what came before."""

    error: ClinvkError
    text: str


async def failure(pool: Pool, asked: Prompt, secs: float = 30) -> Failed:
    """Run a turn that has to fail."""
    text = ""
    try:
        async with pool.turn(asked, secs) as turn:
            async for batch in turn:
                text += text_of(batch)
    except ClinvkError as error:
        return Failed(error, text)
    pytest.fail(f"the turn did not fail but gave {text!r}")
