"""A real browser, headless, driven over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse

PATIENCE = 90.0
PROGRAM = next(
    (
        found
        for name in (os.environ.get("CLINVK_TEST_BROWSER", ""), "chromium", "google-chrome")
        if name and (found := shutil.which(name))
    ),
    None,
)
"""The browser of this machine; `CLINVK_TEST_BROWSER` names another."""


class Browser:
    """One tab of a browser; names resolve as its command line says.

    Attributes:
        complaints: what stood in the console as an error or a warning, since `watch`.
        requested: the URLs that were asked for, since `watch`.
    """

    def __init__(self, tab: ClientWebSocketResponse) -> None:
        self._tab = tab
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []
        self.requested: list[str] = []

    async def watch(self) -> None:
        """Note from now on what the page asks for, and what the browser has to complain about."""
        for domain in ("Runtime", "Log", "Network"):
            await self._call(f"{domain}.enable")

    async def prefer(self, **features: str) -> None:
        """Have the page see a preference: ``prefers_color_scheme="dark"``."""
        media = [{"name": n.replace("_", "-"), "value": value} for n, value in features.items()]
        await self._call("Emulation.setEmulatedMedia", features=media)

    async def resize(self, width: int, height: int) -> None:
        """Give the window a size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self._call("Emulation.setDeviceMetricsOverride", **size)

    async def disconnect(self, *, offline: bool) -> None:
        """Take the network away from new requests, or give it back."""
        await self._call(
            "Network.emulateNetworkConditions",
            offline=offline, latency=0, downloadThroughput=-1, uploadThroughput=-1,
        )  # fmt: skip

    async def press(self, key: str, *, control: bool = False) -> None:
        """Press a key and let it go: ``Tab``, ``Enter``, a letter."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}
        event: dict[str, Any] = {
            "key": key,
            "code": {" ": "Space"}.get(key, key),
            "windowsVirtualKeyCode": codes.get(key, ord(key[0])),
            "modifiers": 2 if control else 0,
        }
        text = {"Enter": "\r", "Tab": "", "Escape": ""}.get(key, key)
        if text and not control:
            event["text"] = text
        await self._call("Input.dispatchKeyEvent", type="keyDown", **event)
        event.pop("text", None)
        await self._call("Input.dispatchKeyEvent", type="keyUp", **event)

    async def write(self, text: str) -> None:
        """Put text into what has the focus, as a keyboard does."""
        await self._call("Input.insertText", text=text)

    async def screenshot(self, width: int, height: int) -> bytes:
        """What a window of this size shows, as PNG."""
        await self.resize(width, height)
        shot = await self._call("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])

    async def open(self, url: str) -> None:
        """Show a page and wait until it is loaded."""
        await self._call("Page.enable")
        await self._call("Page.navigate", url=url)
        while True:
            if (await self._read()).get("method") == "Page.loadEventFired":
                return

    async def without_content_policy(self) -> None:
        """Let pages do what their `Content-Security-Policy` forbids: an attacker sends none."""
        await self._call("Page.setBypassCSP", enabled=True)

    async def run(self, script: str) -> Any:
        """Run the body of an async function in the page; what it returns.

        Raises:
            RuntimeError: it threw.
        """
        answer = await self._call(
            "Runtime.evaluate",
            expression=f"(async () => {{ {script} }})()",
            awaitPromise=True,
            returnByValue=True,
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:500])
        return answer["result"].get("value")

    async def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._tab.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = await self._read()
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(str(message["error"]))
                return dict(message["result"])

    async def _read(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            message = dict(json.loads(await self._tab.receive_str()))
        match message:
            case {"method": "Network.requestWillBeSent", "params": {"request": {"url": str(url)}}}:
                self.requested.append(url)
            case {"method": "Log.entryAdded", "params": {"entry": entry}}:
                if entry["level"] != "verbose":
                    text = f"{entry['level']}: {entry['text']} {entry.get('url', '')}"
                    self.complaints.append(text)
            case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                self.complaints.append(json.dumps(details)[:500])
            case {"method": "Runtime.consoleAPICalled", "params": {"type": kind, "args": given}}:
                if kind in ("error", "warning", "assert"):
                    self.complaints.append(f"{kind}: {json.dumps(given)[:500]}")
        return message


@asynccontextmanager
async def browser(folder: Path, *rules: str) -> AsyncIterator[Browser]:
    """A fresh browser with a profile of its own.

    Args:
        rules: how names resolve (`MAP app.example 127.0.0.1`); no other name does.
    """
    assert PROGRAM is not None
    profile = folder / "profile"
    home = folder / "browser-home"
    home.mkdir()
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-first-run", "--no-proxy-server", "--disable-background-networking",
        "--remote-debugging-port=0", f"--user-data-dir={profile}",
        "--host-resolver-rules=" + ", ".join((*rules, "MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1")),
        "about:blank",
        env={"HOME": str(home), "PATH": os.defpath, "TMPDIR": str(folder)},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE):
            line = b""
            while b"DevTools listening on" not in line:
                line = await process.stderr.readline()
                assert line, "the browser ended"
        address = line.decode().strip().rpartition(" ")[2].split("/")[2]
        reading = asyncio.get_running_loop().create_task(process.stderr.read())
        async with ClientSession() as client:
            async with client.get(f"http://{address}/json/list") as response:
                (page,) = [tab for tab in await response.json() if tab["type"] == "page"]
            async with client.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as tab:
                yield Browser(tab)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, 9)
        await process.wait()
        await reading
