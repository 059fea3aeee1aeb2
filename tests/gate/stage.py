"""The application behind its whole gate, connections included, and bytes sent to it as they are."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientTimeout, TCPConnector, web
from aiohttp.test_utils import TestClient, TestServer

from clinvkd.api.endpoint import ENGINE
from clinvkd.config import Settings
from clinvkd.keys import KeyRing
from clinvkd.limits import Connections, GuardedRunner
from clinvkd.server import create_app

from ..api.service import Service
from .routes import Route

PATIENCE = 60.0
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Stage(Service):
    """A running application and the guard of its connections."""

    connections: Connections = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: str

    @classmethod
    def parse(cls, received: bytes) -> Reply:
        head, _, body = received.decode().partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        headers = {name.lower(): value for name, _, value in pairs}
        return cls(int(first.split(" ")[1]), headers, body)


class _GuardedServer(TestServer):
    def __init__(self, app: web.Application, connections: Connections, port: int | None) -> None:
        super().__init__(app, port=port)
        self._guard = connections

    async def _make_runner(self, **options: Any) -> GuardedRunner:
        return GuardedRunner(self.app, connections=self._guard, **options)


@asynccontextmanager
async def staged(
    folder: Path,
    ring: KeyRing | None = None,
    *,
    alike: bool = True,
    port: int | None = None,
    **sections: Any,
) -> AsyncIterator[Stage]:
    """The application with these sections of its configuration.

    Args:
        alike: whether all connections from this machine are counted together without a limit
            of their own, as they are in production.
        port: what is listened on; None: any that is free.
    """
    settings = Settings.model_validate({"default_backend": "echo", **sections})
    home = folder / "home"
    home.mkdir(exist_ok=True)
    environ = {"PATH": str(folder / "no-programs"), "HOME": str(home), "LANG": "C.UTF-8"}
    connections = Connections(settings.server, None if alike else lambda _: False)
    server = _GuardedServer(create_app(settings, environ, ring), connections, port)
    client = TestClient(server, timeout=ClientTimeout(total=60), connector=TCPConnector(limit=0))
    async with client:
        engine = server.app[ENGINE]
        await engine.start()
        yield Stage(client, engine, connections=connections)


def head_of(
    route: Route,
    lines: Sequence[str] = (),
    *,
    without: Sequence[str] = (),
    target: str | None = None,
    version: str = "1.1",
) -> bytes:
    """The head and body of a request that is right but for what is changed.

    Args:
        lines: header lines in addition.
        without: names of headers that are left out.
    """
    headers = [("Host", "localhost"), *(route.headers or {}).items()]
    body = b""
    if route.body is not None:
        body = json.dumps(route.body).encode()
        headers += [*JSON.items(), ("Content-Length", str(len(body)))]
    left_out = {name.lower() for name in without}
    written = [f"{name}: {value}" for name, value in headers if name.lower() not in left_out]
    request = [f"{route.method} {target or route.target} HTTP/{version}", *written, *lines]
    return "\r\n".join([*request, "Connection: close", "", ""]).encode() + body


async def send(port: int, request: bytes, *, sender: str | None = None) -> Reply:
    """Send bytes; the whole answer.

    Args:
        sender: address of this machine they are sent from.

    Raises:
        ConnectionError: nothing came back.
    """
    async with asyncio.timeout(PATIENCE), connected(port, sender) as (reader, writer):
        writer.write(request)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            raise ConnectionResetError("no answer") from None
        if request.startswith(b"HEAD "):
            return Reply.parse(head)
        length = re.search(rb"(?i)content-length: (\d+)", head)
        # Not to its end: a daemon that refuses a body still reads it for a while.
        body = await reader.readexactly(int(length[1])) if length else await reader.read()
        return Reply.parse(head + body)


@asynccontextmanager
async def connected(
    port: int, sender: str | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection for the length of the block."""
    local = None if sender is None else (sender, 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=local)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
