"""The client side of the Agent Client Protocol, over a real subprocess, for tests."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]

Object = dict[str, Any]


class AgentError(Exception):
    """A JSON-RPC error the agent answered with."""

    def __init__(self, error: Object) -> None:
        super().__init__(error["message"])
        self.code: int = error["code"]
        self.data: Any = error.get("data")


class Answering:
    """One prompt on its way: updates as they come, then the answer."""

    def __init__(self, finished: asyncio.Future[Object]) -> None:
        self.finished = finished
        self.updates: list[Object] = []
        self._changed = asyncio.Event()

    def add(self, update: Object) -> None:
        self.updates.append(update)
        self._changed.set()

    async def reach(self, count: int) -> None:
        """Wait until this many updates are there."""
        while len(self.updates) < count:
            self._changed.clear()
            await self._changed.wait()

    def chunks(self, kind: str = "agent_message_chunk") -> list[str]:
        return [
            update["content"]["text"] for update in self.updates if update["sessionUpdate"] == kind
        ]

    @property
    def text(self) -> str:
        return "".join(self.chunks())


class AgentClient(asyncio.SubprocessProtocol):
    """Speaks to one agent process. Everything it sends is kept in the order it came."""

    def __init__(self) -> None:
        self.order: list[str] = []
        """Session ids of all updates, in order of arrival."""
        self.unmatched: list[Object] = []
        """Answers that belong to no request of ours."""
        self.permissions: asyncio.Queue[Object] = asyncio.Queue()
        self.stderr = bytearray()
        self.exited = asyncio.get_running_loop().create_future()
        self.transport: asyncio.SubprocessTransport
        self._line = bytearray()
        self._requests: dict[int, asyncio.Future[Object]] = {}
        self._running: dict[str, Answering] = {}
        self._last_id = 0
        self._arrived = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self.transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self.stderr += data
            return
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._receive(json.loads(bytes(self._line + line)))
            self._line.clear()
        self._line += rest

    def process_exited(self) -> None:
        self.exited.set_result(self.transport.get_returncode())

    def write(self, data: bytes) -> None:
        pipe = self.transport.get_pipe_transport(0)
        assert isinstance(pipe, asyncio.WriteTransport)
        pipe.write(data)

    def close_input(self) -> None:
        pipe = self.transport.get_pipe_transport(0)
        assert pipe is not None
        pipe.close()

    def send(self, message: Object) -> None:
        self.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def request(self, method: str, params: Any = None) -> asyncio.Future[Object]:
        self._last_id += 1
        future: asyncio.Future[Object] = asyncio.get_running_loop().create_future()
        self._requests[self._last_id] = future
        self.send({"id": self._last_id, "method": method, "params": params})
        return future

    async def new_session(self, cwd: str = "/", **extension: Any) -> str:
        result = await self.request(
            "session/new", {"cwd": cwd, "mcpServers": [], "_meta": {"clinvk": extension}}
        )
        session_id = result["sessionId"]
        assert isinstance(session_id, str)
        return session_id

    def start(self, session: str, *prompt: str | Object, **options: Any) -> Answering:
        """Send a prompt; strings become text blocks."""
        return self.start_with(session, {"options": options}, *prompt)

    def start_with(self, session: str, extension: Object, *prompt: str | Object) -> Answering:
        """Send a prompt with ``_meta.clinvk``."""
        blocks = [text(part) if isinstance(part, str) else part for part in prompt]
        params = {"sessionId": session, "prompt": blocks, "_meta": {"clinvk": extension}}
        answering = Answering(self.request("session/prompt", params))
        self._running[session] = answering
        return answering

    async def prompt(
        self, session: str, *prompt: str | Object, **options: Any
    ) -> tuple[Answering, Object]:
        """Send a prompt and wait for its end; raises :class:`AgentError`."""
        answering = self.start(session, *prompt, **options)
        return answering, await answering.finished

    def cancel(self, session: str) -> None:
        self.send({"method": "session/cancel", "params": {"sessionId": session}})

    async def unmatched_answers(self, count: int) -> list[Object]:
        while len(self.unmatched) < count:
            self._arrived.clear()
            await self._arrived.wait()
        return self.unmatched

    def _receive(self, message: Object) -> None:
        match message:
            case {"method": "session/update", "params": {"sessionId": session, "update": update}}:
                self.order.append(session)
                self._running[session].add(update)
            case {"method": "session/request_permission"}:
                self.permissions.put_nowait(message)
            case {"id": int(number), "result": result}:
                self._requests.pop(number).set_result(result)
            case {"id": int(number), "error": error}:
                self._requests.pop(number).set_exception(AgentError(error))
            case _:
                self.unmatched.append(message)
                self._arrived.set()


@asynccontextmanager
async def running_agent(
    home: Path, name: str, *arguments: str, environment: dict[str, str] | None = None
) -> AsyncIterator[AgentClient]:
    """An embedded agent with nothing of our environment; killed at the end if still there."""
    loop = asyncio.get_running_loop()
    transport, client = await loop.subprocess_exec(
        AgentClient,
        sys.executable,
        "-m",
        f"clinvkd.agents.{name}",
        *arguments,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", **(environment or {})},
        cwd=REPOSITORY,
    )
    try:
        yield client
    finally:
        if not client.exited.done():
            transport.kill()
        await client.exited
        transport.close()


def text(value: str) -> Object:
    return {"type": "text", "text": value}
