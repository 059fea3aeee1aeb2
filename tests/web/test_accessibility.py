"""Every view, light, dark and narrow, by the rules of WCAG, and all of it without a mouse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clinvkd.keys import Key, KeyRing

from ..gate.browser import PROGRAM
from ..gate.stage import staged
from .axe import require_axe, violations
from .tab import DESKTOP, PHONE, Tab

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed"),
]

SETTLED = {
    "overview": 'await one(".turn"); await one(".agent");',
    "playground": """
        await one(".choice :checked");
        await fill("#prompt", "[[think hm]] one two three");
        await press("Send");
        await until(() => texts(".lane .badge").join() === "completed");
        """,
    "sessions": 'await one(".session-list a");',
    "session": 'await until(() => texts(".message").length === 2);',
    "usage": 'await one("svg rect"); document.querySelector("details summary").click();',
    "requests": """
        (await one(".row-button")).click();
        await one("pre[aria-label=Command]");
        all("details").forEach((each) => { each.open = true; });
        """,
}
"""What must be there before a view is looked at."""


async def fill(tab: Tab) -> str:
    """Have something of everything to show; the id of a session."""
    answer = await tab.stage.post(prompt="[[think let me see]] Hello there.")
    await tab.stage.post(prompt="[[fail out of luck]]")
    return str(answer.json["session_id"])


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
@pytest.mark.parametrize("view", SETTLED)
async def test_no_view_breaks_a_rule(tab: Tab, view: str, look: str) -> None:
    require_axe()
    session = await fill(tab)
    await tab.browser.prefer(
        prefers_color_scheme="dark" if look == "dark" else "light", prefers_reduced_motion="reduce"
    )
    await tab.open(f"sessions/{session}" if view == "session" else view)
    if view == "overview":
        await tab.run('await one(".backend");')
        await fill(tab)
    await tab.run(SETTLED[view])
    await tab.browser.resize(*(PHONE if look == "phone" else DESKTOP))
    try:
        assert await violations(tab.browser) == []
        wide = await tab.run("return document.documentElement.scrollWidth - innerWidth;")
        assert wide <= 0
        await tab.keep(f"{view}-{look}", PHONE if look == "phone" else DESKTOP)
    finally:
        await tab.browser.resize(*DESKTOP)
        await tab.browser.prefer(prefers_color_scheme="light")


@pytest.mark.parametrize("look", ["light", "dark"])
async def test_the_sign_in_breaks_no_rule(tab: Tab, tmp_path: Path, look: str) -> None:
    require_axe()
    async with staged(tmp_path, KeyRing([Key.of("clinvk_" + 32 * "0", "tester")])) as stage:
        locked = Tab(stage, tab.browser)
        await tab.browser.prefer(prefers_color_scheme=look)
        await locked.open()
        assert await violations(tab.browser) == []
        await tab.browser.prefer(prefers_color_scheme="light")


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
async def test_the_reference_breaks_no_rule(tab: Tab, look: str) -> None:
    require_axe()
    await tab.browser.prefer(prefers_color_scheme="dark" if look == "dark" else "light")
    await tab.browser.resize(*(PHONE if look == "phone" else DESKTOP))
    try:
        await tab.browser.open(f"{tab.origin}/docs")
        await tab.run(
            """
            const prompt = await one("#operations-Native_API-sendPrompt");
            prompt.querySelector(".opblock-summary-control").click();
            await one("textarea.body-param__text");
            """
        )
        wide = await tab.run("return document.documentElement.scrollWidth - innerWidth;")
        assert wide <= 0
        await tab.keep(f"docs-{look}", PHONE if look == "phone" else DESKTOP)
        await tab.browser.resize(*(PHONE if look == "phone" else DESKTOP))
        assert await violations(tab.browser) == []
    finally:
        await tab.browser.resize(*DESKTOP)
        await tab.browser.prefer(prefers_color_scheme="light")


async def test_everything_can_be_done_with_the_keyboard(tab: Tab) -> None:
    """From the top of the page to an answer of the playground, then to a session."""
    await tab.open()
    await tab.browser.press("Tab")
    assert await focused(tab) == "Skip to content"
    await tab.browser.press("Enter")
    assert await tab.run("return document.activeElement.id;") == "main"
    await tab.open()
    await walk_to(tab, "Playground")
    await tab.browser.press("Enter")
    await tab.run('await until(() => document.activeElement.tagName === "H1");')
    assert await focused(tab) == "Playground"
    await tab.run('await until(() => document.querySelector("#ask-echo"));')
    await tab.browser.press("Tab")
    assert await tab.run("return document.activeElement.id;") == "prompt"
    await tab.browser.write("typed by hand")
    await walk_to(tab, "ask-beta")
    await tab.browser.press(" ")
    await walk_to(tab, "Send")
    await tab.browser.press("Enter")
    await tab.run('await until(() => texts(".lane-text").includes("typed by hand"));')
    await tab.stage.text("a session for the keyboard")
    await tab.open("sessions")
    await tab.run('await one(".session-list a");')
    await walk_to(tab, "a session for the keyboard")
    await tab.browser.press("Enter")
    await tab.run('await until(() => texts(".message").length === 2);')
    await walk_to(tab, "continue-prompt")
    await tab.browser.write("more by hand")
    await tab.browser.press("Enter", control=True)
    await tab.run('await until(() => texts(".message .prose").includes("more by hand"));')
    assert tab.browser.complaints == []


async def test_nothing_moves_for_those_who_ask_for_rest(tab: Tab) -> None:
    await tab.browser.prefer(prefers_reduced_motion="reduce")
    await tab.open()
    name = await tab.run(
        """
        const badge = document.createElement("span");
        badge.className = "badge";
        badge.dataset.state = "busy";
        document.body.append(badge);
        return getComputedStyle(badge, "::before").animationName;
        """
    )
    await tab.browser.prefer(prefers_reduced_motion="no-preference")
    assert name == "none"


async def focused(tab: Tab) -> str:
    """What has the focus: its text, which may be its first line, or its id."""
    return str(
        await tab.run(
            """
            const element = document.activeElement;
            return element.id && !element.innerText ? element.id
              : element.innerText.trim().split("\\n")[0] || element.id;
            """
        )
    )


async def walk_to(tab: Tab, wanted: str) -> None:
    """Press Tab until something is reached; wherever the focus goes, it must be seen."""
    for _ in range(80):
        await tab.browser.press("Tab")
        seen = await tab.run(
            """
            const style = getComputedStyle(document.activeElement);
            return document.activeElement === document.body || style.outlineStyle !== "none";
            """
        )
        here = await focused(tab)
        assert seen, here
        if here == wanted:
            return
    raise AssertionError(f"{json.dumps(wanted)} cannot be reached")
