"""An agent spoken to directly: its own protocol over its pipes, and nothing of the daemon.

The messages are those of clinvk's driver, so that the agent has the same to do. There is no HTTP,
no pool, no session and no store, and lines are handled one by one as they come.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from clinvkd.config import Backend, DriverName
from clinvkd.drivers import DRIVERS
from clinvkd.drivers.base import (
    AnswerTool,
    AskApproval,
    Driver,
    Exchange,
    Json,
    Receive,
    RunProgram,
    Script,
    Send,
    ServeTools,
    WithdrawApproval,
    WriteFile,
)
from clinvkd.events import Event
from clinvkd.pool.play import write_private
from clinvkd.pool.tool_server import Offer, ToolServer
from clinvkd.prompt import Prompt
from tests.real_agents import RealAgent

_LONGEST_LINE = 1 << 24


class Direct:
    """One process with one conversation."""

    def __init__(
        self, driver: Driver, process: asyncio.subprocess.Process, agent: RealAgent
    ) -> None:
        self._driver = driver
        self._process = process
        self._agent = agent
        self._script: Script | None = None
        self._messages: asyncio.Queue[Json] = asyncio.Queue()
        self._server = ToolServer()
        self._offer: Offer | None = None

    async def begin(self, prompt: Prompt) -> None:
        """Open the conversation."""
        self._script = self._driver.open()
        async for _ in self._play(self._script.bind(prompt)):
            pass

    async def ask(self, prompt: Prompt) -> AsyncIterator[Event]:
        """Say what is new in `prompt`; what the agent tells, one by one."""
        assert self._script is not None
        async for event in self._play(self._script.turn(prompt)):
            yield event

    async def start(self) -> None:
        """The handshake."""
        async for _ in self._play(self._driver.start()):
            pass

    async def read(self) -> None:
        """Read its output until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if (message := self._driver.decode(line)) is not None:
                self._messages.put_nowait(message)

    async def close(self) -> None:
        """Serve no tools any more."""
        await self._server.aclose()

    def _send(self, message: Json) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(to_json(message) + b"\n")

    async def _play(self, exchange: Exchange[None]) -> AsyncIterator[Event]:
        value: Any = None
        while True:
            try:
                step = exchange.send(value)
            except StopIteration:
                return
            value = None
            match step:
                case Receive():
                    value = await self._received()
                case Send(message):
                    self._send(message)
                case WriteFile(path, data):
                    write_private(path, data)
                case RunProgram(arguments):
                    value = await self._printed(arguments)
                case ServeTools(definitions):
                    self._offer = self._server.offer(definitions, self._messages.put_nowait)
                    value = self._offer.place
                case AnswerTool(call, result):
                    assert self._offer is not None
                    self._offer.answer(call, result)
                case AskApproval() | WithdrawApproval():
                    raise AssertionError("no turn of a bench asks for approval")
                case event:
                    yield event

    async def _received(self) -> Json:
        """The next message for the exchange that is being played."""
        while True:
            message = await self._messages.get()
            ours = str(message.get("method", "")).startswith("clinvk/tool_")
            if ours or self._script is None or self._driver.route(message) is self._script:
                return message
            for send in self._driver.unrouted(message):
                self._send(send.message)

    async def _printed(self, arguments: tuple[str, ...]) -> bytes:
        process = await asyncio.create_subprocess_exec(
            *self._agent.command,
            *arguments,
            env=self._agent.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        printed, _ = await process.communicate()
        return printed


@asynccontextmanager
async def direct(
    agent: RealAgent,
    driver_name: DriverName,
    arguments: tuple[str, ...],
    scratch: Path,
    prompt: Prompt,
) -> AsyncIterator[Direct]:
    """A process that has shaken hands, as clinvk starts one for `prompt`; ended afterwards."""
    backend = Backend(
        name=agent.name,
        driver=driver_name,
        command=(*agent.command, *arguments),
        environment=agent.environment,
    )
    for folder in ("work", "tmp"):
        (scratch / folder).mkdir(parents=True)
    driver = DRIVERS[driver_name](backend, scratch)
    launch = driver.launch(backend, prompt)

    def placed(text: str) -> str:
        return text.replace("{scratch}", str(scratch))

    for name, text in launch.files:
        write_private(scratch / name, placed(text).encode())
    process = await asyncio.create_subprocess_exec(
        *map(placed, launch.argv),
        cwd=launch.cwd or scratch / "work",
        env={
            **agent.environment,
            **{name: placed(value) for name, value in launch.environment},
            "PATH": agent.environment.get("PATH", os.defpath),
        },
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=_LONGEST_LINE,
    )
    one = Direct(driver, process, agent)
    async with asyncio.TaskGroup() as reading:
        reading.create_task(one.read())
        try:
            await one.start()
            yield one
        finally:
            await one.close()
            process.kill()
            await process.wait()
