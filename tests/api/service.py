"""The application inside the test's process, with real agents, and what its answers hold."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse, ClientTimeout, TCPConnector
from aiohttp.test_utils import TestClient, TestServer

from clinvkd.api.endpoint import ENGINE
from clinvkd.config import Settings
from clinvkd.engine import Engine
from clinvkd.keys import KeyRing
from clinvkd.server import create_app
from clinvkd.sessions import Session

PROMPT = "/api/v1/prompt"
SSE = {"Accept": "text/event-stream"}
NDJSON = {"Accept": "application/x-ndjson"}
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Service:
    """A running application and a client of it."""

    client: TestClient[Any, Any]
    engine: Engine

    @property
    def port(self) -> int:
        port = self.client.server.port
        assert port is not None
        return port

    async def post(
        self, body: Any = None, headers: Mapping[str, str] | None = None, **fields: Any
    ) -> Answer:
        """Send a prompt to echo, or `body` as it is, and read the whole answer."""
        if body is None:
            body = {"backend": "echo", **fields}
        return await self.send(PROMPT, body, headers)

    async def send(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
        """Send `body` to a path and read the whole answer."""
        data = BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        headers = {"Content-Type": "application/json", **(headers or {})}
        async with self.client.post(path, data=data, headers=headers) as response:
            return await Answer.of(response)

    async def text(self, prompt: str, **fields: Any) -> str:
        """The answer's text; the request must succeed."""
        answer = await self.post(prompt=prompt, **fields)
        assert answer.status == 200, answer.text
        return str(answer.json["output"])

    async def raw(self, request: bytes, *, end: bool = False) -> tuple[int, str]:
        """Send bytes as they are, and no more if `end`; status and all that came back.

        Raises:
            ConnectionError: nothing came back.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            if end:
                writer.write_eof()
            async with asyncio.timeout(PATIENCE):
                received = (await reader.read()).decode()
        finally:
            writer.close()
        if not received:
            raise ConnectionResetError("no answer")
        return int(received.split(" ")[1]), received

    async def sessions(self) -> int:
        """How many conversations callers could come back to."""
        return await self.engine.sessions.count()

    async def kept(self, session_id: str) -> Session:
        """What is kept of a conversation."""
        return await self.engine.sessions.get(session_id, "")

    def figures(self, backend: str = "echo") -> Any:
        """What the pool of a backend holds."""
        return self.engine.pool(backend).figures()

    def turns(self, backend: str = "echo") -> int:
        """How many turns its agents were asked for."""
        return sum(self.figures(backend).turns.values())

    async def idle(self, backend: str = "echo") -> None:
        """Wait until no turn of a backend runs or is being interrupted."""
        pool = self.engine.pool(backend)
        await until(lambda: not any(agent.busy for agent in pool.crew))


@dataclass(frozen=True, slots=True)
class Answer:
    """A response read to its end."""

    status: int
    headers: Mapping[str, str]
    text: str

    @classmethod
    async def of(cls, response: ClientResponse) -> Answer:
        return cls(response.status, response.headers, (await response.read()).decode())

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> dict[str, Any]:
        """The error, which must have the published members and no other."""
        body = self.json
        assert list(body) == ["error"]
        error = body["error"]
        assert set(error) == {"code", "message", "param", "type"}
        assert isinstance(error, dict)
        return error

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of a stream; each must have the published form."""
        kind = self.headers["Content-Type"]
        events = sse_events(self.text) if kind == "text/event-stream" else ndjson(self.text)
        check_events(events)
        return events


def sse_events(text: str) -> list[dict[str, Any]]:
    """Server-sent events read as the specification says: lines end with CR, LF or both."""
    events = []
    for block in text.replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
        data = [line[5:].removeprefix(" ") for line in block.split("\n") if line[:5] == "data:"]
        if data:
            events.append(json.loads("\n".join(data)))
    return events


def ndjson(text: str) -> list[dict[str, Any]]:
    """Lines of JSON, each ended by a line feed."""
    assert text.endswith("\n")
    return [json.loads(line) for line in text[:-1].split("\n")]


def check_events(events: list[dict[str, Any]]) -> None:
    """What every stream keeps."""
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    for event in events:
        assert {"type", "backend", "timestamp", "sequence"} <= set(event)
        assert set(event) <= {
            "type", "backend", "session_id", "timestamp", "sequence", "content",
        }  # fmt: skip
    kinds = [event["type"] for event in events]
    assert kinds.count("complete") == 1
    assert kinds[-1] == "complete"


def text_of(events: list[dict[str, Any]]) -> str:
    """The text of all deltas."""
    return "".join(event["content"]["text"] for event in events if event["type"] == "message")


def first(events: list[dict[str, Any]], kind: str) -> Any:
    """The content of the first event of a kind."""
    return next(event["content"] for event in events if event["type"] == kind)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something has happened that nobody tells us of."""

    async def look() -> bool:
        return condition()

    await eventually(look)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """As `until`, for a condition that must itself be waited for."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(
    folder: Path, ring: KeyRing | None = None, **sections: Any
) -> AsyncIterator[Service]:
    """The application with these sections of its configuration, agents in an empty home.

    Args:
        ring: its API keys; None for none.
    """
    settings = Settings.model_validate({"default_backend": "echo", **sections})
    home = folder / "home"
    home.mkdir(exist_ok=True)
    environ = {"PATH": str(folder / "no-programs"), "HOME": str(home), "LANG": "C.UTF-8"}
    server = TestServer(create_app(settings, environ, ring))
    client = TestClient(server, timeout=ClientTimeout(total=60), connector=TCPConnector(limit=0))
    async with client:
        engine = server.app[ENGINE]
        await engine.start()
        yield Service(client, engine)
