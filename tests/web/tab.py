"""The dashboard of a daemon in a tab of a real browser, and what tests do with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..gate.browser import Browser
from ..gate.stage import Stage

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
"""Pictures for people; nothing is compared with them."""

DESKTOP = (1280, 800)
PHONE = (360, 740)

_TOOLS = """
const until = async (found) => {
  for (;;) {
    const value = await found();
    if (value) return value;
    await new Promise((done) => setTimeout(done, 20));
  }
};
const one = (selector) => until(() => document.querySelector(selector));
const all = (selector) => [...document.querySelectorAll(selector)];
const texts = (selector) => all(selector).map((each) => each.innerText.trim());
const fill = async (selector, value) => {
  const field = await one(selector);
  field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.dispatchEvent(new Event("change", { bubbles: true }));
};
const press = async (name, inside = "main") => {
  const button = await until(() => all(`${inside} button`).find((each) =>
    each.checkVisibility() && each.innerText.trim() === name));
  button.click();
};
"""


@dataclass(frozen=True, slots=True)
class Tab:
    """The dashboard of `stage`, in `browser`."""

    stage: Stage
    browser: Browser

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.stage.port}"

    async def open(self, view: str = "overview") -> None:
        """Load the page anew and show a view of it; what the browser notes begins then."""
        await self.browser.open("about:blank")
        self.browser.complaints.clear()
        self.browser.requested.clear()
        await self.browser.open(f"{self.origin}/#/{view}")
        await self.run('await one("main h1");')

    async def run(self, script: str) -> Any:
        """Run the body of an async function that has the tools above."""
        return await self.browser.run(_TOOLS + script)

    async def keep(self, name: str, size: tuple[int, int] = DESKTOP) -> None:
        """Save a picture of the tab."""
        save(SCREENSHOTS / f"{name}.png", await self.browser.screenshot(*size))
        await self.browser.resize(*DESKTOP)

    async def text(self, selector: str) -> str:
        """The text of an element, once it is there."""
        return str(await self.run(f"return (await one({json.dumps(selector)})).innerText;"))


def save(file: Path, content: bytes) -> None:
    """Write a picture."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
