"""The overview: agents as boxes, turns whose text streams in, and many of them at once."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from ..api.service import PROMPT, SSE
from ..gate.browser import PROGRAM
from .tab import PHONE, Tab

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed"),
]

STREAMS = 200
MOST_NODES = 1500
MOST_CHARACTERS = 40_000


@asynccontextmanager
async def talking(tab: Tab, *prompts: str) -> AsyncIterator[None]:
    """Turns of echo that run for the length of the block, each with a client that listens."""
    async with AsyncExitStack() as stack:
        bodies = [{"backend": "echo", "prompt": f"{each} [[long 1000000]]"} for each in prompts]
        asked = (tab.stage.client.post(PROMPT, json=body, headers=SSE) for body in bodies)
        for response in await asyncio.gather(*map(stack.enter_async_context, asked)):
            assert response.status == 200
        yield
    await tab.stage.idle()


async def test_it_loads_without_complaints_and_asks_nobody_else(tab: Tab) -> None:
    await tab.open()
    await tab.run('await until(() => document.querySelector("#connection").innerText === "Live");')
    assert tab.browser.complaints == []
    others = {url for url in tab.browser.requested if not url.startswith((tab.origin, "about:"))}
    assert others == set()


async def test_backends_say_whether_and_why_not(tab: Tab) -> None:
    await tab.open()
    said = await tab.run(
        """
        await one(".backend");
        return Object.fromEntries(all(".backend").map((each) => [
          each.querySelector("h3").innerText,
          [each.querySelector(".badge").innerText, each.querySelector(".reason").innerText.trim()],
        ]));
        """
    )
    assert said["echo"] == ["available", ""]
    assert said["codex"] == ["not available", "not installed: 'codex' was not found"]


async def test_a_killed_agent_goes_and_another_comes(tab: Tab) -> None:
    await tab.open()
    boxes = """
        const boxes = () => all(".backend").filter((each) =>
          each.querySelector("h3").innerText === "beta"
        ).flatMap((each) => [...each.querySelectorAll(".agent-pid")].map((pid) => pid.innerText));
        """
    await tab.stage.post({"backend": "beta", "prompt": "hello"})
    (before, *_) = await tab.run(
        f"{boxes} return await until(() => boxes().length && !boxes().includes('no process')"
        " && boxes());"
    )
    os.kill(int(before.removeprefix("pid ")), 9)
    await tab.run(f"{boxes} await until(() => !boxes().includes({json.dumps(before)}));")
    await tab.stage.post({"backend": "beta", "prompt": "hello again"})
    after = await tab.run(
        f"{boxes} return await until(() => boxes().length && !boxes().includes('no process')"
        " && boxes());"
    )
    assert before not in after


async def test_text_of_a_turn_streams_in_and_its_end_is_told(tab: Tab) -> None:
    await tab.open()
    async with talking(tab, "[[slow 0.2]] token"):
        first, more = await tab.run(
            """
            const text = () => document.querySelector(".turn-text")?.innerText ?? "";
            const first = await until(text);
            return [first, await until(() => text().length > first.length && text())];
            """
        )
        assert more.startswith(first)
        assert set(more.split()) <= {"token", *("token"[:length] for length in range(1, 6))}
        await tab.keep("overview-turn")
    await tab.run(
        """
        await until(() => texts(".turn .badge").join() === "canceled"
          || texts(".turn .badge").includes("canceled"));
        """
    )
    failing = {"backend": "echo", "prompt": "[[fail out of luck]]"}
    await tab.stage.post(failing)
    reason = await tab.run("return await until(() => texts('.turn .reason').find((text) => text));")
    assert "out of luck" in reason
    assert tab.browser.complaints == []


async def test_markup_in_a_prompt_is_text(tab: Tab) -> None:
    await tab.open()
    markup = "<img src=x onerror=alert(1)><b>bold</b>"
    await tab.stage.text(markup)
    shown = await tab.run(
        f"""
        const markup = {json.dumps(markup)};
        await until(() => texts(".turn-text").includes(markup));
        return all(".turn img, .turn b").length;
        """
    )
    assert shown == 0


async def test_two_hundred_streams_leave_the_page_small_and_awake(tab: Tab) -> None:
    await tab.open()
    async with talking(tab, *(f"[[slow 0.5]] stream {index}" for index in range(STREAMS))):
        shown = await tab.run(
            f"""
            const running = () => document.querySelector(".figure dd").innerText;
            await until(() => running() === "{STREAMS}");
            const before = texts(".turn-text").join();
            await until(() => texts(".turn-text").join() !== before);
            return {{
              cards: all(".turn").length,
              nodes: document.querySelectorAll("*").length,
              characters: document.body.textContent.length,
              summary: document.querySelector("section:has(.turns) > p").innerText,
            }};
            """
        )
        await tab.keep("overview-200")
        await tab.keep("overview-200-phone", PHONE)
        await tab.run(
            """
            all(".places a").find((link) => link.innerText === "Playground").click();
            await one("#prompt");
            """
        )
    assert shown["cards"] == 24
    assert shown["nodes"] < MOST_NODES
    assert shown["characters"] < MOST_CHARACTERS
    assert shown["summary"] == f"{STREAMS} are running; the newest 24 are shown."
    assert tab.browser.complaints == []


async def test_the_page_says_when_the_daemon_is_gone_and_when_it_is_back(tab: Tab) -> None:
    await tab.open()
    state = "document.querySelector('#connection').dataset.state"
    await tab.run(f"await until(() => {state} === 'live');")
    await tab.browser.disconnect(offline=True)
    for connection in list(tab.stage.connections._open):
        connection.force_close()
    await tab.run(f"await until(() => {state} === 'lost');")
    await tab.keep("overview-lost")
    await tab.browser.disconnect(offline=False)
    await tab.run(
        f"""
        await until(() => {state} === "live");
        await until(() => document.querySelector("#announcer").textContent.includes("again"));
        """
    )
