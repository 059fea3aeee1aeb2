"""The real daemon: `python -m clinvkd serve` as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from aiohttp import ClientSession

PATIENCE = 40.0


@dataclass(slots=True)
class Daemon:
    """A daemon that listens.

    Attributes:
        banner: what it printed before it was ready for a person.
        temporary: where it and its agents keep temporary files.
    """

    process: Process
    banner: list[str]
    home: Path
    temporary: Path
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.banner[0].rpartition(" ")[2]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    async def logged(self, event: str) -> dict[str, Any]:
        """Wait for a line of the log; every line must be JSON."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            while line := await self.process.stderr.readline():
                self.log.append(json.loads(line))
                if self.log[-1]["event"] == event:
                    return self.log[-1]
        raise AssertionError(f"the log ended without {event!r}: {self.log}")

    async def ended(self) -> int:
        """Wait for its end; its exit status. What it logged until then is in `log`."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            rest = await self.process.stderr.read()
            self.log += [json.loads(line) for line in rest.splitlines()]
            return await self.process.wait()


def environment(home: Path, temporary: Path, **more: str) -> dict[str, str]:
    """An environment made from nothing, without any agent on the path."""
    return {
        "PATH": str(home / "no-programs"),
        "HOME": str(home),
        "CLINVK_HOME": str(home / ".clinvk"),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        **more,
    }


async def spawn(*arguments: str, environ: dict[str, str]) -> Process:
    """Start `clinvk serve`."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "clinvkd", "serve", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=PIPE, env=environ,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def daemon(home: Path, config: str = "", **more: str) -> AsyncIterator[Daemon]:
    """A daemon on a free port; killed afterwards if it still runs."""
    (home / ".clinvk").mkdir(parents=True, exist_ok=True)
    (home / ".clinvk" / "config.yaml").write_text(config)
    with tempfile.TemporaryDirectory() as temporary:
        environ = environment(home, Path(temporary), **more)
        process = await spawn("--port", "0", environ=environ)
        assert process.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE):
                banner = [(await process.stdout.readline()).decode().rstrip("\n")]
                while banner[-1] and not banner[-1].startswith("    -H"):
                    banner.append((await process.stdout.readline()).decode().rstrip("\n"))
            yield Daemon(process, banner, home, Path(temporary))
        finally:
            agents: list[psutil.Process] = []
            if process.returncode is None:
                agents = psutil.Process(process.pid).children(recursive=True)
                process.kill()
            await process.communicate()
            for agent in agents:  # they would end by themselves, but use the folder until then
                with contextlib.suppress(psutil.NoSuchProcess):
                    agent.kill()
            await asyncio.to_thread(psutil.wait_procs, agents, timeout=PATIENCE)


async def ask(daemon: Daemon, prompt: str, **fields: Any) -> tuple[int, Any]:
    """One prompt to echo, answered whole; status and body."""
    body = {"backend": "echo", "prompt": prompt, **fields}
    async with (
        ClientSession() as client,
        client.post(f"{daemon.url}/api/v1/prompt", json=body) as response,
    ):
        return response.status, await response.json()
