"""What agents with tools leave on the disk of a conversation: nothing.

So a session that is deleted is gone, and there is nothing of it that an agent would have to forget.
An ephemeral conversation runs in the same way; it is only not recorded by us.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clinvkd.pool import Pool
from clinvkd.pool.turn import Way
from clinvkd.prompt import Message, Permissions, Prompt, Text
from tests.pools import ask, text_of

from . import acp_stage, claude_stage, codex_stage
from .claude_stage import files_with

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

MARKER = "XYZZY"
MODELS = {"codex": codex_stage.MODEL, **acp_stage.MODELS}


@asynccontextmanager
async def staged(name: str, folder: Path) -> AsyncIterator[Pool]:
    match name:
        case "claude" | "claude-old":
            async with claude_stage.stage(name, folder) as claude:
                yield claude.pool
        case "codex":
            async with codex_stage.staged(folder) as codex:
                yield codex.pool
        case _:
            async with acp_stage.stage(name, folder) as acp:
                yield acp.pool


def reading(name: str, file: Path) -> dict[str, Any]:
    """A call of the agent's own tool that looks into a file."""
    match name:
        case "claude" | "claude-old":
            return {"name": "Bash", "arguments": {"command": f"cat {file}"}}
        case "codex":
            return {"name": "exec_command", "arguments": {"cmd": f"cat {file}"}}
        case "opencode":
            return {"name": "read", "arguments": {"filePath": str(file)}}
        case _:
            return {"name": "read_file", "arguments": {"file_path": str(file)}}


@pytest.mark.parametrize("name", ["claude", "claude-old", "codex", "gemini", "opencode", "qwen"])
async def test_a_conversation_with_tools_leaves_nothing_on_the_disk(
    name: str, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "note.txt").write_text(f"{MARKER} was read")
    directive = {
        "tools": [reading(name, project / "note.txt")],
        "then": {"text": f"{MARKER} was answered"},
    }
    text = f"{MARKER} was asked %%{json.dumps(directive)}%%"
    first = Prompt(
        backend=name.removesuffix("-old"),
        messages=(Message("user", (Text(text),)),),
        model=MODELS.get(name),
        system=f"{MARKER} is the system.",
        workdir=project,
        permissions=Permissions(tools=True, approval="none", sandbox="full"),
    )
    async with staged(name, tmp_path) as pool:
        events = await ask(pool, first)
        assert text_of(events) == f"{MARKER} was answered"
        (project / "note.txt").unlink()
        answer = Message("assistant", (Text(text_of(events)),))
        more = Message("user", (Text(f"{MARKER} goes on %%{{}}%%"),))
        second = replace(first, messages=(*first.messages, answer, more))
        async with pool.turn(second, 60) as turn:
            assert turn.way is Way.CONTINUE
            async for _ in turn:
                pass
    assert files_with(MARKER.encode(), tmp_path) == []
