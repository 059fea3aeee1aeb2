"""Who may see the dashboard's data, and where the key is kept: in the memory of the page."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from clinvkd.keys import Key, KeyRing

from ..gate.browser import PROGRAM
from ..gate.stage import staged
from .tab import Tab

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed"),
]

KEY = "clinvk_0123456789abcdef0123456789abcdef"
PROMPT = {"backend": "echo", "prompt": "hello"}
SIGN_IN = """
const signIn = async (key) => {
  await fill("#key", key);
  await press("Sign in");
};
"""
STORED = """
const databases = await indexedDB.databases();
return JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, databases.length,
  location.href, document.documentElement.outerHTML, window.name]);
"""


@pytest.fixture(scope="module")
def ring() -> KeyRing:
    return KeyRing([Key.of(KEY, "tester")])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def keyed(
    tab: Tab, ring: KeyRing, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Tab]:
    """The same browser before a daemon that wants a key."""
    async with staged(tmp_path_factory.mktemp("keyed"), ring) as stage:
        yield Tab(stage, tab.browser)


async def test_nothing_is_shown_without_a_key(keyed: Tab) -> None:
    await keyed.open()
    assert await keyed.text("h1") == "Sign in"
    assert await keyed.run("return document.activeElement.id;") == "key"
    assert not await keyed.run("return document.querySelector('#places').checkVisibility();")
    asked = {url for url in keyed.browser.requested if "/api/" in url}
    assert asked == set()
    assert keyed.browser.complaints == []
    await keyed.keep("login")


async def test_a_wrong_key_is_refused_and_the_right_one_is_not(keyed: Tab) -> None:
    await keyed.open()
    wrong = await keyed.run(
        f"""{SIGN_IN}
        await signIn("clinvk_wrong_wrong_wrong");
        return await until(() => texts(".login [role=alert]").find((text) => text));
        """
    )
    assert wrong == "The daemon does not know this key."
    odd = await keyed.run(
        f"""{SIGN_IN}
        await signIn("schlüssel");
        return await until(() => texts(".login [role=alert]")
          .find((text) => text.startsWith("This")));
        """
    )
    assert odd == "This is not an API key."
    complaints = [text for text in keyed.browser.complaints if "401" not in text]
    assert complaints == []
    await keyed.run(
        f"""{SIGN_IN}
        await signIn({json.dumps(KEY)});
        await until(() => document.querySelector("#connection").innerText === "Live");
        await one(".backend");
        """
    )
    assert KEY not in await keyed.run(STORED)
    assert await keyed.run("return [localStorage.length, sessionStorage.length];") == [0, 0]
    await keyed.open()
    assert await keyed.text("h1") == "Sign in"


async def test_a_key_that_is_revoked_leads_back_to_the_sign_in(keyed: Tab, ring: KeyRing) -> None:
    await keyed.open("sessions")
    await keyed.run(f"{SIGN_IN} await signIn({json.dumps(KEY)}); await one('.session-search');")
    ring.replace([])
    try:
        await keyed.run("location.hash = '#/usage'; await one('.login');")
        assert await keyed.text("[role=alert]") == "The key is not valid any more."
    finally:
        ring.replace([Key.of(KEY, "tester")])


async def test_signing_out_forgets_what_was_shown(keyed: Tab) -> None:
    await keyed.open("sessions")
    headers = {"Authorization": f"Bearer {KEY}"}
    marker = {"backend": "echo", "prompt": "a secret of the owner"}
    async with keyed.stage.client.post("/api/v1/prompt", json=marker, headers=headers) as response:
        assert response.status == 200
    left = await keyed.run(
        f"""{SIGN_IN}
        await signIn({json.dumps(KEY)});
        await until(() => texts(".session-title").includes("a secret of the owner"));
        document.querySelector("#sign-out").click();
        await one(".login");
        return document.documentElement.outerHTML;
        """
    )
    assert "a secret" not in left


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_a_command_copied_carries_the_key_of_who_runs_it(keyed: Tab) -> None:
    headers = {"X-Api-Key": KEY}
    async with keyed.stage.client.post("/api/v1/prompt", json=PROMPT, headers=headers) as response:
        assert response.status == 200
    await keyed.open("requests")
    command = await keyed.run(
        f"""{SIGN_IN}
        await signIn({json.dumps(KEY)});
        const row = await until(() => all(".row-button").find((each) =>
          each.innerText === "POST /api/v1/prompt"));
        row.click();
        return (await one("pre[aria-label=Command]")).textContent;
        """
    )
    assert KEY not in command
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", command,
        env={"PATH": os.environ["PATH"], "CLINVK_API_KEY": KEY},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate()
    assert json.loads(output)["output"] == "hello", errors
