"""The API reference in a real browser: read it, try it, watch a stream come in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from clinvkd.keys import Key, KeyRing

from ..gate.browser import PROGRAM, Browser, browser
from ..gate.stage import Stage, staged

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed"),
]

KEY = "clinvk_0123456789abcdef0123456789abcdef"
PROMPT = "Native_API-sendPrompt"
TOOLS = """
const until = async (found) => {
  for (;;) {
    const value = found();
    if (value) return value;
    await new Promise((done) => setTimeout(done, 20));
  }
};
const fill = (element, value) => {
  const kind = Object.getPrototypeOf(element);
  Object.getOwnPropertyDescriptor(kind, "value").set.call(element, value);
  const event = element instanceof HTMLSelectElement ? "change" : "input";
  element.dispatchEvent(new Event(event, { bubbles: true }));
};
const block = (name) => until(() => document.getElementById(`operations-${name}`));
const send = async (name, body, accept) => {
  const operation = await block(name);
  if (!operation.querySelector(".opblock-body")) {
    operation.querySelector(".opblock-summary-control").click();
  }
  const text = await until(() => operation.querySelector("textarea.body-param__text"));
  fill(text, JSON.stringify(body));
  if (accept) {
    const choice = [...operation.querySelectorAll(".responses-wrapper select.content-type")]
      .find((select) => [...select.options].some((option) => option.value === accept));
    fill(choice, accept);
  }
  operation.querySelector(".btn.execute").click();
  return operation;
};
const answered = (operation) => until(() => {
  const table = operation.querySelector(".live-responses-table");
  return table?.querySelector("tbody .response-col_status")?.innerText.trim();
});
"""


@dataclass(frozen=True, slots=True)
class Page:
    """The reference of a daemon in a tab."""

    stage: Stage
    browser: Browser

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.stage.port}"

    async def open(self) -> None:
        await self.browser.open(f"{self.origin}/docs")
        await self.run(f"await block({json.dumps(PROMPT)});")
        self.browser.complaints.clear()

    async def run(self, script: str) -> Any:
        return await self.browser.run(TOOLS + script)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def page(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    folder = tmp_path_factory.mktemp("page")
    async with staged(folder) as stage, browser(folder) as tab:
        await tab.watch()
        yield Page(stage, tab)


async def test_it_shows_every_operation_and_asks_nobody_else(page: Page, tmp_path: Path) -> None:
    await page.browser.open(f"{page.origin}/docs")
    shown = await page.run(
        """
        await block("Native_API-sendPrompt");
        await block("The_daemon-getOpenAPI");
        return [...document.querySelectorAll(".opblock")].map((each) => each.id.split("-").pop());
        """
    )
    async with page.stage.client.get("/openapi.json") as response:
        document = await response.json()
    operations = [o["operationId"] for item in document["paths"].values() for o in item.values()]
    assert sorted(shown) == sorted(operations)
    assert page.browser.complaints == []
    others = {url for url in page.browser.requested if not url.startswith((page.origin, "data:"))}
    assert others == set()
    await keep(tmp_path / "light.png", page)


@pytest.mark.parametrize(
    ("operation", "body", "accept"),
    [
        (PROMPT, {"backend": "echo", "prompt": "one two three"}, "text/event-stream"),
        (PROMPT, {"backend": "echo", "prompt": "one two three"}, "application/x-ndjson"),
        (
            "OpenAI_API-createChatCompletion",
            {
                "model": "echo",
                "messages": [{"role": "user", "content": "one two three"}],
                "stream": True,
            },
            None,
        ),
        (
            "OpenAI_API-createResponse",
            {"model": "echo", "input": "one two three", "stream": True},
            None,
        ),
        (
            "Anthropic_API-createMessage",
            {
                "model": "echo",
                "max_tokens": 100,
                "messages": [{"role": "user", "content": "one two three"}],
                "stream": True,
            },
            None,
        ),
    ],
    ids=["native-sse", "native-ndjson", "chat", "responses", "messages"],
)
async def test_a_stream_is_shown_as_text(
    page: Page, operation: str, body: Any, accept: str | None
) -> None:
    await page.open()
    text, status = await page.run(
        f"""
        const operation = await send({json.dumps(operation)}, {json.dumps(body)},
          {json.dumps(accept)});
        const status = await answered(operation);
        await until(() => operation.querySelector(".stream-status")?.innerText.startsWith("ended"));
        return [operation.querySelector(".stream-text").textContent, status];
        """
    )
    assert (text, status) == ("one two three", "200")
    assert page.browser.complaints == []


async def test_tokens_appear_while_the_agent_talks_and_it_can_be_stopped(
    page: Page, tmp_path: Path
) -> None:
    await page.open()
    body = {"backend": "echo", "prompt": "[[long 100000]] [[slow 0.01]] token"}
    script = f"""
        const operation = await send({json.dumps(PROMPT)}, {json.dumps(body)},
          "text/event-stream");
        const text = () => operation.querySelector(".stream-text")?.textContent ?? "";
        const first = await until(text);
        await until(() => text().length > first.length);
        operation.querySelector(".stream").scrollIntoView(false);
        return operation.querySelector(".stream-status").innerText;
        """
    assert (await page.run(script)).startswith("streaming")
    await keep(tmp_path / "streaming.png", page)
    await page.run(
        """
        document.querySelector(".stream-status button").click();
        await until(() => document.querySelector(".stream-status").innerText.startsWith("ended"));
        """
    )
    await page.stage.idle()  # the agent was told


async def test_the_page_follows_the_preference_and_its_button(page: Page, tmp_path: Path) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    await page.browser.prefer(prefers_color_scheme="dark")
    await page.open()
    dark = await page.run(ground)
    await keep(tmp_path / "dark.png", page)
    await page.run("document.getElementById('theme').click()")
    light = await page.run(ground)
    assert (light, dark != light) == ("rgb(255, 255, 255)", True)
    await page.browser.prefer(prefers_color_scheme="light")
    assert page.browser.complaints == []


async def test_what_is_tried_carries_the_key(page: Page, tmp_path: Path) -> None:
    ring = KeyRing([Key.of(KEY, "tester")])
    async with staged(tmp_path, ring) as keyed:
        there = Page(keyed, page.browser)
        await there.open()
        statuses = [
            await there.run(
                f"""
                fill(document.getElementById("key"), {json.dumps(key)});
                const operation = await send({json.dumps(PROMPT)},
                  {{ backend: "echo", prompt: "hi" }});
                const status = await answered(operation);
                operation.querySelector(".btn-clear").click();
                await until(() => !operation.querySelector(".live-responses-table"));
                return status;
                """
            )
            for key in ("", "clinvk_wrong", KEY, "")
        ]
        stored = await there.run("return JSON.stringify([{...localStorage}, document.cookie])")
    assert [status.split()[0] for status in statuses] == ["401", "401", "200", "401"]
    assert stored == '[{},""]'


async def keep(file: Path, page: Page) -> None:
    """Save a picture for people."""
    write(file, await page.browser.screenshot(1280, 900))


def write(file: Path, content: bytes) -> None:
    file.write_bytes(content)
