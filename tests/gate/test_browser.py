"""What a page in a real browser can do to the daemon: nothing, unless its origin is allowed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from ..api.service import PROMPT
from .browser import PROGRAM, Browser, browser
from .stage import Stage, staged

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed"),
]

BODY = json.dumps({"backend": "echo", "prompt": "one two three"})


@dataclass(frozen=True, slots=True)
class World:
    """A daemon, a server of pages under other names, and a browser that looks at them."""

    stage: Stage
    browser: Browser
    pages: int

    @property
    def daemon(self) -> str:
        return f"http://127.0.0.1:{self.stage.port}"

    def page(self, host: str) -> str:
        return f"http://{host}:{self.pages}/"

    async def attempt(self, url: str, **options: Any) -> Any:
        """What `fetch` gives the page: its text, or the error."""
        return await self.browser.run(
            f"""
            try {{
              const answer = await fetch({json.dumps(url)}, {json.dumps(options)});
              return {{type: answer.type, status: answer.status, text: await answer.text()}};
            }} catch (error) {{ return String(error); }}
            """
        )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("world")
    pages = web.AppRunner(_pages())
    await pages.setup()
    site = web.TCPSite(pages, "127.0.0.1", 0)
    await site.start()
    port = int(pages.addresses[0][1])
    names = [f"MAP {name} 127.0.0.1" for name in ("app.example", "evil.example", "localhost")]
    server = {"cors_allowed_origins": [f"http://app.example:{port}"]}
    async with staged(folder, server=server) as stage, browser(folder, *names) as tab:
        yield World(stage, tab, port)
    await pages.cleanup()


def _pages() -> web.Application:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>page</title>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    return app


JSON = {"Content-Type": "application/json"}
ATTEMPTS: dict[str, tuple[str, dict[str, Any]]] = {
    "read": ("/health", {}),
    "read without looking": ("/health", {"mode": "no-cors"}),
    "prompt": (PROMPT, {"method": "POST", "headers": JSON, "body": BODY}),
    "prompt as text": (PROMPT, {"method": "POST", "body": BODY}),
    "prompt without looking": (PROMPT, {"method": "POST", "mode": "no-cors", "body": BODY}),
    "prompt with credentials": (
        PROMPT, {"method": "POST", "headers": JSON, "body": BODY, "credentials": "include"},
    ),
    "preflight": ("/openai/v1/models", {"headers": {"X-Api-Key": "x"}}),
}  # fmt: skip


@pytest.mark.parametrize("host", ["evil.example", "localhost", "127.0.0.1"])
@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_a_page_of_another_origin_reads_and_triggers_nothing(
    world: World, host: str, attempt: str
) -> None:
    """Another port of this machine is another origin, too."""
    turns = world.stage.turns()
    await world.browser.open(world.page(host))
    path, options = ATTEMPTS[attempt]
    got = await world.attempt(world.daemon + path, **options)
    if isinstance(got, dict):
        assert (got["type"], got["status"], got["text"]) == ("opaque", 0, "")
    assert world.stage.turns() == turns


async def test_a_form_of_another_origin_triggers_nothing(world: World) -> None:
    turns = world.stage.turns()
    await world.browser.open(world.page("evil.example"))
    for encoding in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        await world.browser.run(
            f"""
            const form = Object.assign(document.createElement("form"), {{
              action: {json.dumps(world.daemon + PROMPT)}, method: "post",
              enctype: {json.dumps(encoding)}, target: "frame",
            }});
            const frame = Object.assign(document.createElement("iframe"), {{name: "frame"}});
            const field = document.createElement("input");
            field.name = '{{"backend": "echo", "prompt": "hi", "x": "';
            field.value = '"}}';
            form.append(field);
            document.body.append(frame, form);
            const loaded = new Promise((done) => frame.addEventListener("load", done));
            form.submit();
            await loaded;
            frame.remove();
            """
        )
    assert world.stage.turns() == turns


@pytest.mark.parametrize("tag", ["img", "script", "iframe"])
async def test_nothing_of_it_can_be_embedded(world: World, tag: str) -> None:
    await world.browser.open(world.page("evil.example"))
    outcome = await world.browser.run(
        f"""
        const element = document.createElement({json.dumps(tag)});
        const settled = new Promise((done) => {{
          element.onload = () => done("load");
          element.onerror = () => done("error");
        }});
        element.src = {json.dumps(world.daemon + "/health")};
        document.body.append(element);
        return await settled;
        """
    )
    # A frame loads something in any case: that of another origin, which the page cannot look into.
    assert outcome == ("load" if tag == "iframe" else "error")


async def test_a_name_that_was_rebound_reads_and_triggers_nothing(world: World) -> None:
    """The page is of the very address it asks: only the Host tells."""
    turns = world.stage.turns()
    rebound = f"http://evil.example:{world.stage.port}"
    await world.browser.without_content_policy()
    await world.browser.open(f"{rebound}/health")
    shown = await world.browser.run("return document.body.innerText")
    assert json.loads(shown)["error"]["code"] == "forbidden"
    read = await world.attempt(f"{rebound}/health")
    assert (read["status"], "uptime" in read["text"]) == (403, False)
    prompt = await world.attempt(f"{rebound}{PROMPT}", method="POST", headers=JSON, body=BODY)
    assert prompt["status"] == 403
    assert world.stage.turns() == turns


async def test_an_allowed_page_reads_asks_and_streams(world: World) -> None:
    await world.browser.open(world.page("app.example"))
    read = await world.attempt(f"{world.daemon}/health")
    assert (read["type"], read["status"]) == ("cors", 200)
    assert json.loads(read["text"])["status"] == "ok"
    missing = await world.attempt(f"{world.daemon}/nothing")
    assert (missing["status"], json.loads(missing["text"])["error"]["code"]) == (404, "not_found")
    streamed = await world.attempt(
        world.daemon + PROMPT,
        method="POST",
        headers={**JSON, "Accept": "text/event-stream", "X-Api-Key": "not needed"},
        body=BODY,
    )
    assert (streamed["type"], streamed["status"]) == ("cors", 200)
    assert streamed["text"].count('"type":"message"') == 3
    assert '"exit_code":0' in streamed["text"]
