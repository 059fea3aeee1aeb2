"""The floor: the least an aiohttp server can do between an ACP agent and its callers.

One agent, one read callback, a typed decode of each line, preformatted events, one write per
read; no middleware, no validation, no errors, no sessions. `python -m benchmarks.floor`.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import Any

import msgspec
from aiohttp import web


class Content(msgspec.Struct):
    """The part of a chunk that is its text."""

    text: str = ""


class Update(msgspec.Struct, rename="camel"):
    """The part of an update that is looked at."""

    session_update: str = ""
    content: Any = None


class Params(msgspec.Struct, rename="camel"):
    """The part of a notification that is looked at."""

    session_id: str = ""
    update: Update | None = None


class Line(msgspec.Struct):
    """One line of the agent."""

    id: int | None = None
    params: Params | None = None
    result: Any = None


class Stream:
    """What has come for one caller."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.done = False
        self.waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Let the handler write."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class Agent(asyncio.SubprocessProtocol):
    """The one agent."""

    def __init__(self) -> None:
        self.numbers = itertools.count(1)
        self.streams: dict[str, Stream] = {}
        self.prompts: dict[int, Stream] = {}
        self.calls: dict[int, asyncio.Future[Any]] = {}
        self._rest = b""
        self._decode = msgspec.json.Decoder(Line).decode
        self._encode = msgspec.json.Encoder().encode
        self.stdin: Any = None

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """All complete lines of one read."""
        if fd != 1:
            return
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for raw in lines:
            line = self._decode(raw)
            if line.params is not None and line.params.update is not None:
                update = line.params.update
                if update.session_update == "agent_message_chunk":
                    stream = self.streams[line.params.session_id]
                    text = self._encode(update.content["text"])
                    stream.parts.append(
                        b'data: {"type":"message","content":{"text":' + text + b"}}\n\n"
                    )
                    stream.wake()
            elif line.id is not None and line.id in self.prompts:
                stream = self.prompts.pop(line.id)
                stream.done = True
                stream.wake()
            elif line.id is not None and line.id in self.calls:
                self.calls.pop(line.id).set_result(line.result)

    def send(self, method: str, params: dict[str, Any]) -> int:
        """Write a request; its number."""
        number = next(self.numbers)
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        self.stdin.write(self._encode(message) + b"\n")
        return number

    async def call(self, method: str, params: dict[str, Any]) -> Any:
        """Write a request and wait for its result."""
        future = asyncio.get_running_loop().create_future()
        self.calls[self.send(method, params)] = future
        return await future


async def main() -> None:
    """Serve `POST /` with the prompt as `{"prompt": ...}`."""
    transport, agent = await asyncio.get_running_loop().subprocess_exec(
        Agent, sys.executable, "-m", "clinvkd.agents.echo"
    )
    agent.stdin = transport.get_pipe_transport(0)
    await agent.call("initialize", {"protocolVersion": 1, "clientCapabilities": {}})

    async def handle(request: web.Request) -> web.StreamResponse:
        body = msgspec.json.decode(await request.read())
        session = (await agent.call("session/new", {"cwd": "/", "mcpServers": []}))["sessionId"]
        stream = agent.streams[session] = Stream()
        content = [{"type": "text", "text": body["prompt"]}]
        prompt = {"sessionId": session, "prompt": content}
        agent.prompts[agent.send("session/prompt", prompt)] = stream
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while not stream.done or stream.parts:
            if not stream.parts:
                stream.waiter = asyncio.get_running_loop().create_future()
                await stream.waiter
            data, stream.parts = b"".join(stream.parts), []
            if data:
                await response.write(data)
        del agent.streams[session]
        await response.write(b'data: {"type":"complete"}\n\n')
        await response.write_eof()
        return response

    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/api/v1/prompt", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.version_info < (3, 12):
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
    asyncio.run(main())
