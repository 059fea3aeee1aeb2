"""Peers that are slow, silent or many: they lose their connection, nobody else does."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from clinvkd.config import ServerSettings
from clinvkd.limits import Connections

from ..api.service import PROMPT, SSE, until
from .stage import PATIENCE, Stage, connected, send, staged

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
KEPT = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
QUICK = {"header_timeout_secs": 0.3, "read_timeout_secs": 0.3}


async def rest(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the daemon closes the connection, also when it ends by a reset."""
    received = bytearray()
    async with asyncio.timeout(PATIENCE):
        with suppress(ConnectionResetError):
            while more := await reader.read(65_536):
                received += more
    return bytes(received)


async def answer(reader: asyncio.StreamReader) -> bytes:
    """One answer of a connection that is kept; its head."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if b"content-length:" in line)
    await reader.readexactly(int(length.partition(b":")[2]))
    return head


async def test_a_silent_connection_is_closed_without_a_word(tmp_path: Path) -> None:
    async with staged(tmp_path, server=QUICK) as stage, connected(stage.port) as (reader, _):
        assert await rest(reader) == b""


async def test_a_head_that_does_not_end_is_a_408(tmp_path: Path) -> None:
    async with staged(tmp_path, server=QUICK) as stage, connected(stage.port) as (reader, writer):
        writer.write(b"GET /health HTTP/1.1\r\nHost: local")
        assert (await rest(reader)).startswith(b"HTTP/1.1 408 ")


async def test_a_head_that_comes_byte_by_byte_is_a_408(tmp_path: Path) -> None:
    async with staged(tmp_path, server=QUICK) as stage, connected(stage.port) as (reader, writer):
        reading = asyncio.create_task(rest(reader))  # noqa: TID251
        sent = 0
        writer.write(b"GET /health HTTP/1.1\r\nX-Long: ")
        while not reading.done():
            with suppress(ConnectionError):
                writer.write(b"x")
                await writer.drain()
            sent += 1
            await asyncio.wait((reading,), timeout=0.02)
        assert (await reading).startswith(b"HTTP/1.1 408 ")
        assert sent > 1


async def test_the_second_head_of_a_connection_has_the_same_time(tmp_path: Path) -> None:
    async with staged(tmp_path, server=QUICK) as stage, connected(stage.port) as (reader, writer):
        writer.write(KEPT)
        assert (await answer(reader)).startswith(b"HTTP/1.1 200 ")
        writer.write(b"GET /hea")
        assert (await rest(reader)).startswith(b"HTTP/1.1 408 ")


async def test_a_connection_that_waits_for_its_next_request_is_kept(tmp_path: Path) -> None:
    """Longer than a head may take: for that there is `idle_timeout_secs`."""
    async with staged(tmp_path, server=QUICK) as stage, connected(stage.port) as (reader, writer):
        writer.write(KEPT)
        await answer(reader)
        async with connected(stage.port) as (slow, other):
            other.write(b"GET")
            assert (await rest(slow)).startswith(b"HTTP/1.1 408 ")  # that long has it been
        writer.write(KEPT)
        assert (await answer(reader)).startswith(b"HTTP/1.1 200 ")


async def test_a_turn_may_take_longer_than_a_head(tmp_path: Path) -> None:
    async with staged(tmp_path, server=QUICK) as stage:
        answer = await stage.post(prompt="[[slow 0.3]]one two three four")
        assert (answer.status, answer.json["output"]) == (200, "one two three four")


async def test_a_body_that_does_not_come_is_a_408(tmp_path: Path) -> None:
    head = f"POST {PROMPT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    async with staged(tmp_path, server=QUICK) as stage, connected(stage.port) as (reader, writer):
        writer.write(head.encode() + b'Content-Length: 100\r\n\r\n{"prompt')
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
        assert stage.turns() == 0


async def test_an_answer_that_nobody_reads_costs_the_connection(tmp_path: Path) -> None:
    """One that is written whole: nobody waits for it any more, so the guard must."""
    quick = {"write_timeout_secs": 0.4}
    async with staged(tmp_path, server=quick) as stage:
        text = "x" * 8_000_000
        body = json.dumps({"backend": "echo", "prompt": text}).encode()
        deaf = socket.create_connection(("127.0.0.1", stage.port))
        deaf.setblocking(False)
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        loop = asyncio.get_running_loop()
        head = f"POST {PROMPT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        await loop.sock_sendall(deaf, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await until(lambda: stage.turns() == 1)
        await until(lambda: len(stage.connections) == 0)
        deaf.close()


async def test_who_closes_its_own_side_has_left(tmp_path: Path) -> None:
    """Half a connection is none: the turn is interrupted, and nothing of it stays."""
    body = json.dumps({"backend": "echo", "prompt": "[[slow 600]]one two"}).encode()
    head = (
        f"POST {PROMPT} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    async with staged(tmp_path) as stage, connected(stage.port) as (reader, writer):
        writer.write(head.encode() + body)
        await reader.readuntil(b'"text":"one "')
        writer.write_eof()
        await rest(reader)
        await stage.idle()
        assert len(stage.connections) == 0


async def test_a_thousand_idle_connections_keep_nobody_out(tmp_path: Path) -> None:
    """Far more than there is room for: those that wait longest make room."""
    async with staged(tmp_path, server={"max_connections": 50}) as stage, AsyncExitStack() as held:
        async with stage.client.post(
            PROMPT, json={"backend": "echo", "prompt": "[[slow 0.02]]" + "word " * 30}, headers=SSE
        ) as stream:
            for _ in range(1000):
                await held.enter_async_context(connected(stage.port))
            assert len(stage.connections) <= 50
            for _ in range(5):
                assert (await send(stage.port, HEALTH)).status == 200
            events = (await stream.read()).decode()
        assert events.count('"text":"word "') == 30
        assert '"exit_code":0' in events


@pytest.mark.parametrize("part", [b"GET /health HTTP/1.1\r\nHost:", b""], ids=["head", "nothing"])
async def test_heads_that_do_not_end_keep_nobody_out(tmp_path: Path, part: bytes) -> None:
    async with staged(tmp_path, server={"max_connections": 5}) as stage, AsyncExitStack() as held:
        for _ in range(20):
            _, writer = await held.enter_async_context(connected(stage.port))
            writer.write(part)
        assert (await send(stage.port, HEALTH)).status == 200


async def test_bodies_that_do_not_end_keep_nobody_out(tmp_path: Path) -> None:
    head = f"POST {PROMPT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    request = head.encode() + b'Content-Length: 100\r\n\r\n{"prompt'
    async with staged(tmp_path, server={"max_connections": 5}) as stage, AsyncExitStack() as held:
        for _ in range(20):
            _, writer = await held.enter_async_context(connected(stage.port))
            writer.write(request)
            await writer.drain()
        assert (await send(stage.port, HEALTH)).status == 200


async def streams(stage: Stage, held: AsyncExitStack, number: int) -> list[Any]:
    """Streams that have begun."""
    body = {"backend": "echo", "prompt": "[[slow 0.05]]" + "word " * 60}
    return [
        await held.enter_async_context(stage.client.post(PROMPT, json=body, headers=SSE))
        for _ in range(number)
    ]


async def test_when_all_connections_are_busy_the_next_is_refused(tmp_path: Path) -> None:
    async with staged(tmp_path, server={"max_connections": 3}) as stage, AsyncExitStack() as held:
        open_streams = await streams(stage, held, 3)
        reply = await send(stage.port, b"")
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert json.loads(reply.body)["error"]["message"] == "too many connections"
        for stream in open_streams:
            assert '"exit_code":0' in (await stream.read()).decode()


async def test_one_address_cannot_take_all_connections(tmp_path: Path) -> None:
    """Addresses of this machine stand for many clients; here they are counted like others."""
    limits = {"max_connections": 10, "max_connections_per_peer": 2}
    async with staged(tmp_path, server=limits, alike=False) as stage, AsyncExitStack() as held:
        open_streams = await streams(stage, held, 2)
        assert (await send(stage.port, b"")).status == 503
        assert (await send(stage.port, HEALTH, sender="127.0.0.2")).status == 200
        for stream in open_streams:
            assert '"exit_code":0' in (await stream.read()).decode()


async def test_this_machine_is_not_one_client(tmp_path: Path) -> None:
    limits = {"max_connections": 10, "max_connections_per_peer": 2}
    async with staged(tmp_path, server=limits) as stage, AsyncExitStack() as held:
        for stream in await streams(stage, held, 4):
            assert '"exit_code":0' in (await stream.read()).decode()


def test_no_more_connections_than_half_of_the_files() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, before[1]))
    try:
        assert Connections(ServerSettings(max_connections=5000)).most == 500
        assert Connections(ServerSettings(max_connections=400)).most == 400
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
