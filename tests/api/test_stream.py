"""Sending a stream, whatever goes wrong while it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientPayloadError, web
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from clinvkd.api.dialect import Encoder
from clinvkd.api.stream import EVENT_STREAM, NDJSON, stream
from clinvkd.config import Settings
from clinvkd.errors import ClinvkError


class Plain(Encoder[str]):
    """Batches that are the text to send; nothing can be made of `nonsense`."""

    def __init__(self, content_type: str) -> None:
        self.content_type = content_type

    def feed(self, batch: str) -> bytes:
        if batch == "nonsense":
            raise KeyError("a defect of the encoder")
        return batch.encode()

    def substantial(self, batch: str) -> bool:
        return True

    def fail(self, error: ClinvkError) -> bytes:
        return f"[{error.code}: {error.message}]".encode()


async def batches(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


@pytest.mark.parametrize("content_type", [EVENT_STREAM, NDJSON])
async def test_a_stream_by_http_1_0_ends_with_its_connection(content_type: str) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream(
            request,
            batches("first ", "last"),
            Plain(content_type),
            server=Settings().server,
            headers={},
        )

    app = web.Application()
    app.router.add_get("/", handler)
    async with TestServer(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        async with asyncio.timeout(10):
            head, _, text = (await reader.read()).decode().partition("\r\n\r\n")
        writer.close()
    assert text == "first last"
    assert "\r\nConnection: close" in head


@pytest.mark.parametrize("content_type", [EVENT_STREAM, NDJSON])
async def test_a_defect_in_the_middle_ends_the_stream_in_band(content_type: str) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream(
            request,
            batches("first ", "", "nonsense", "never"),
            Plain(content_type),
            server=Settings().server,
            headers={"X-Own": "1"},
        )

    app = web.Application()
    app.router.add_post("/", handler)
    async with TestClient(TestServer(app)) as client:
        with capture_logs() as log:
            response = await client.post("/")
            text = await response.text()
    assert text == "first [internal_error: an internal error occurred]"
    assert response.headers["X-Own"] == "1"
    assert response.content_type == content_type
    (line,) = log
    assert (line["event"], line["log_level"], line["exc_info"]) == ("stream failed", "error", True)


async def test_a_caller_that_is_gone_is_not_written_to() -> None:
    async def failing() -> AsyncIterator[str]:
        yield "first"
        raise ConnectionResetError

    async def handler(request: web.Request) -> web.StreamResponse:
        encoder = Plain(NDJSON)
        with pytest.raises(ConnectionResetError):
            await stream(request, failing(), encoder, server=Settings().server, headers={})
        raise asyncio.CancelledError  # ends the connection

    app = web.Application()
    app.router.add_post("/", handler)
    async with TestClient(TestServer(app)) as client:
        with capture_logs() as log, pytest.raises(ClientPayloadError):
            await (await client.post("/")).read()
    assert not log
