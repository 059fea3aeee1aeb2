"""Images named by URLs: fetched only where the configuration says so, and from where it says."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer

from clinvkd.api.media import MOST_IMAGES, _is_public

from .talk import CHAT, PNG, OpenAI, image, serving, user

DATA = base64.b64decode(PNG)
LOCAL = {"fetch_urls": True, "allow_private_networks": True}
WHERE = "messages[0].content[1].image_url.url"


@asynccontextmanager
async def pictures() -> AsyncIterator[tuple[BaseTestServer, list[str]]]:
    """A server of images, good and bad, and the paths it was asked for."""
    noted: list[str] = []

    async def picture(_: web.Request) -> web.Response:
        return web.Response(body=DATA, content_type="application/octet-stream")

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>", content_type="image/png")

    async def large(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(1_000):
            await response.write(DATA * 100)
        return response

    async def silent(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def away(request: web.Request) -> web.Response:
        raise web.HTTPFound(request.query["to"])

    @web.middleware
    async def note(request: web.Request, handler: Any) -> web.StreamResponse:
        noted.append(request.path)
        response: web.StreamResponse = await handler(request)
        return response

    app = web.Application(middlewares=[note])
    app.router.add_get("/picture", picture)
    app.router.add_get("/page", page)
    app.router.add_get("/large", large)
    app.router.add_get("/silent", silent)
    app.router.add_get("/away", away)
    async with TestServer(app) as server:
        yield server, noted


def asked(url: str) -> list[Any]:
    return [user([{"type": "text", "text": "[[image]]"}, image(url)])]


async def fetched(openai: OpenAI, url: str) -> Any:
    return json.loads(await openai.text(asked(url)))


async def refusal(openai: OpenAI, url: str) -> str:
    return str((await openai.refused(CHAT, WHERE, messages=asked(url)))["message"])


async def test_images_are_fetched_where_allowed(tmp_path: Path) -> None:
    async with pictures() as (server, _), serving(tmp_path, media=LOCAL) as openai:
        url = str(server.make_url("/picture"))
        (told,) = await fetched(openai, url)
        assert (told["mediaType"], told["bytes"]) == ("image/png", len(DATA))
        assert len(await fetched(openai, str(server.make_url(f"/away?to={url}")))) == 1
        part = {"type": "input_image", "image_url": url.replace("http", "HTTP", 1)}
        given = [user([{"type": "input_text", "text": "[[image]]"}, part])]
        response = await openai.response(given)
        text = response["output"][0]["content"][0]["text"]
        assert json.loads(text)[0]["bytes"] == len(DATA)
        (item,) = (await openai.get(f"/responses/{response['id']}/input_items"))["data"]
        assert item["content"][1]["image_url"] == f"data:image/png;base64,{PNG}"


async def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    media = {**LOCAL, "max_bytes": 10_000, "timeout_secs": 0.5}
    async with pictures() as (server, _), serving(tmp_path, media=media) as openai:
        for path, says in (
            ("/page", "none of image/png"),
            ("/nowhere", "HTTP status 404"),
            ("/large", "larger than 10000 bytes"),
            ("/silent", "within 0.5 s"),
            (f"/away?to={server.make_url('/page')}", "none of image/png"),
            ("/away?to=file:///etc/passwd", "could not be fetched"),
            (f"/away?to={server.make_url('/away')}", "HTTP status 500"),
        ):
            assert says in await refusal(openai, str(server.make_url(path))), path
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{closed.getsockname()[1]}/x"
            assert "could not be fetched" in await refusal(openai, url)
        for url in ("http://", "http://[::1", "http://a b/", "http://127.0.0.1:99999/"):
            assert "could not be fetched" in await refusal(openai, url), url
        assert "data URL" in await refusal(openai, "ftp://127.0.0.1/x")
        assert openai.service.turns() == 0
        many = [{"type": "text", "text": "x"}, *([image("http://127.0.0.1:1/")] * 17)]
        where = f"messages[0].content[{MOST_IMAGES + 1}].image_url.url"
        await openai.refused(CHAT, where, messages=[user(many)])


async def test_private_addresses_are_not_asked(tmp_path: Path) -> None:
    async with (
        pictures() as (server, noted),
        serving(tmp_path, media={"fetch_urls": True}) as openai,
    ):
        for host in ("127.0.0.1", "localhost", "0.0.0.0", "2130706433", "[::ffff:127.0.0.1]"):
            message = await refusal(openai, f"http://{host}:{server.port}/picture")
            assert "public" in message or "could not be fetched" in message, host
        assert "not public" in await refusal(openai, f"http://127.0.0.1:{server.port}/picture")
        assert noted == []


async def test_nothing_is_fetched_unless_it_is_turned_on(tmp_path: Path) -> None:
    media = {"allow_private_networks": True}
    async with pictures() as (server, noted), serving(tmp_path, media=media) as openai:
        assert "media.fetch_urls" in await refusal(openai, str(server.make_url("/picture")))
        assert noted == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::808:808", True),
        ("2002:a00:1::", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert _is_public(address) is public
