"""Requests made to harm: none is answered with a 5xx, none costs memory, none is read as two."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress

import psutil
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..api.service import PROMPT
from .stage import Stage, connected, send, staged

pytestmark = pytest.mark.asyncio(loop_scope="session")

JSON = "Content-Type: application/json"
MOST = 1_000_000


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    server = {"max_request_body_bytes": MOST, "max_connections": 100}
    async with staged(tmp_path_factory.mktemp("hostile"), server=server) as stage:
        await stage.text("warm")
        yield stage


async def everything(stage: Stage, request: bytes) -> bytes:
    """All that comes back on a connection on which nothing more is sent."""
    async with asyncio.timeout(60), connected(stage.port) as (reader, writer):
        writer.write(request)
        received = b""
        with suppress(ConnectionError):
            writer.write_eof()
            received = await reader.read()
        return received


def post(*lines: str, body: bytes = b"") -> bytes:
    head = [f"POST {PROMPT} HTTP/1.1", "Host: localhost", JSON, *lines, "", ""]
    return "\r\n".join(head).encode() + body


async def test_a_compressed_body_is_refused_before_it_grows(stage: Stage) -> None:
    bomb = gzip.compress(b"[" * 200_000_000, compresslevel=9)
    before = psutil.Process().memory_info().rss
    reply = await send(
        stage.port, post("Content-Encoding: gzip", f"Content-Length: {len(bomb)}", body=bomb)
    )
    assert reply.status == 415
    assert psutil.Process().memory_info().rss - before < 50_000_000


async def test_a_body_without_an_announced_size_is_cut(stage: Stage) -> None:
    turns = stage.turns()
    async with connected(stage.port) as (reader, writer):
        writer.write(post("Transfer-Encoding: chunked"))
        chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
        with suppress(ConnectionError):
            for _ in range(2 * MOST // 65_536):
                writer.write(chunk)
                await writer.drain()
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    assert stage.turns() == turns


@pytest.mark.parametrize(
    "head",
    [
        "".join(f"X-{number}: x\r\n" for number in range(1000)),
        f"X-Long: {'x' * 20_000}\r\n",
        f"{'X' * 20_000}: x\r\n",
        "X-Folded: a\r\n b\r\n",
        "X-Bare: a\nX-Other: b\r\n",
        "X-Nul: a\0b\r\n",
        "X-Blank : a\r\n",
        "no colon\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: 0x1\r\n",
    ],
    ids=[
        "a thousand", "long value", "long name", "folded", "bare LF", "NUL", "blank before colon",
        "no colon", "negative length", "signed length", "two lengths", "hexadecimal length",
    ],
)  # fmt: skip
async def test_a_malformed_head_is_a_400_in_json(stage: Stage, head: str) -> None:
    reply = await send(
        stage.port, f"GET /health HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode()
    )
    assert reply.status == 400
    assert json.loads(reply.body)["error"]["message"] == "malformed HTTP"
    assert "X-" not in reply.body
    assert re.fullmatch("[0-9a-f]{16}", reply.headers["x-request-id"])


@pytest.mark.parametrize(
    ("path", "status"),
    [("/health", 200), ("/api/v1/nothing", 404), ("/openai/v1/nothing", 404), (PROMPT, 405)],
)
@pytest.mark.parametrize("expect", ["magic", "magic, 100-continue", "a\r\nExpect: 100-continue"])
async def test_an_expectation_nobody_knows_is_ignored(
    stage: Stage, path: str, status: int, expect: str
) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nExpect: {expect}\r\n\r\n"
    reply = await send(stage.port, head.encode())
    assert reply.status == status
    assert reply.headers["content-type"].startswith("application/json")
    assert "x-request-id" in reply.headers


async def test_who_waits_for_it_is_told_to_continue(stage: Stage) -> None:
    async with connected(stage.port) as (reader, writer):
        body = b'{"backend": "echo", "prompt": "after all"}'
        writer.write(post("Expect: 100-Continue", f"Content-Length: {len(body)}"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")


async def test_a_long_target_is_a_400(stage: Stage) -> None:
    target = "/health?" + "x" * 20_000
    reply = await send(stage.port, f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert reply.status == 400


SECRET = b'{"backend": "echo", "prompt": "smuggled"}'
INNER = (
    f"POST {PROMPT} HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\nContent-Length: {len(SECRET)}\r\n\r\n"
).encode() + SECRET


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ((f"Content-Length: {len(INNER) + 5}", "Transfer-Encoding: chunked"), b"0\r\n\r\n" + INNER),
        (("Transfer-Encoding: chunked", "Content-Length: 4"), b"0\r\n\r\n" + INNER),
        (("Content-Length: 0", f"Content-Length: {len(INNER)}"), INNER),
        (("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), b"0\r\n\r\n" + INNER),
        (("Transfer-Encoding: xchunked",), b"0\r\n\r\n" + INNER),
        (("Transfer-Encoding : chunked",), b"0\r\n\r\n" + INNER),
        (("Transfer-Encoding:\x0bchunked",), b"0\r\n\r\n" + INNER),
        (("Transfer-Encoding: chunked",), b"0 \r\n\r\n" + INNER),
        (("Transfer-Encoding: chunked",), b"-1\r\n\r\n" + INNER),
        (("Transfer-Encoding: chunked",), b"0x2\r\n{}\r\n0\r\n\r\n" + INNER),
        (("Transfer-Encoding: chunked",), b"1\n{\r\n0\r\n\r\n" + INNER),
    ],
    ids=[
        "CL.TE", "TE.CL", "CL.CL", "TE.TE", "unknown coding", "blank before colon", "odd blank",
        "blank after size", "negative size", "hexadecimal prefix", "bare LF after size",
    ],
)  # fmt: skip
async def test_a_request_is_never_read_as_two(
    stage: Stage, lines: tuple[str, ...], body: bytes
) -> None:
    """Whatever a proxy in front may have made of its end, what follows it is not obeyed."""
    turns = stage.turns()
    received = await everything(stage, post(*lines, body=body))
    assert received.startswith(b"HTTP/1.1 400 ") or not received
    assert b"smuggled" not in received
    assert stage.turns() == turns


async def test_pipelined_requests_are_answered_in_their_order(stage: Stage) -> None:
    """Two whole requests are two: that is no smuggling, and both pass the gate."""
    evil = b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    good = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    async with asyncio.timeout(60), connected(stage.port) as (reader, writer):
        writer.write(evil + good)
        received = await reader.read()
    assert re.findall(rb"HTTP/1.1 (\d+) ", received) == [b"403", b"200"]


HOST_PARTS = st.sampled_from(
    [
        "localhost", "127.0.0.1", "[::1]", "[", "]", "::1", ":", ":8080", "%00", "%2f", "@", "/",
        "?", "#", "\\", "..", ".", "evil.example", "xn--", "é", " ", "\t", ",", ";", "%", "0x7f.1",
        "[::ffff:127.0.0.1]", "2130706433", "999999999999",
    ]
)  # fmt: skip
HOSTS = st.one_of(
    st.lists(HOST_PARTS, max_size=5).map("".join),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=60),
)


async def test_no_host_is_a_defect(stage: Stage) -> None:
    """Whatever stands there is taken, refused or malformed; only our own names are taken."""
    port = stage.port
    ours = {name + end for name in ("localhost", "127.0.0.1", "[::1]") for end in ("", f":{port}")}
    loop = asyncio.get_running_loop()

    async def status_of(host: str) -> int:
        request = f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        return (await send(port, request.encode())).status

    @settings(max_examples=300, suppress_health_check=list(HealthCheck))
    @given(HOSTS)
    def check(host: str) -> None:
        status = asyncio.run_coroutine_threadsafe(status_of(host), loop).result(60)
        taken = host.strip(" \t").lower() in ours
        assert status == 200 if taken else status in (400, 403), (host, status)

    await asyncio.to_thread(check)
