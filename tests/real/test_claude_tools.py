"""The claude driver with the real CLIs: their tools, and what a folder may do to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clinvkd.events import ToolCall, ToolOutput
from clinvkd.prompt import Permissions
from tests.pools import text_of
from tests.providers import RecordedRequest, Reply, in_turn
from tests.providers.script import Script
from tests.providers.script import ToolCall as Scripted

from .claude_stage import BOTH, completed, stage

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


def calls(*tools: tuple[str, dict[str, Any]], then: str = "done") -> Script:
    """A provider that calls all `tools` at once and then says `then`."""

    def script(request: RecordedRequest) -> Reply:
        if request.conversation.tool_rounds:
            return Reply(text=then)
        return Reply(tools=tuple(Scripted(*tool) for tool in tools))

    return script


@BOTH
@pytest.mark.parametrize(
    ("permissions", "made"),
    [
        ({}, set[str]()),
        ({"approval": "always"}, set[str]()),
        ({"approval": "auto"}, {"inside"}),
        ({"approval": "none", "sandbox": "workspace"}, {"inside"}),
        ({"approval": "none", "sandbox": "read-only"}, set[str]()),
        ({"approval": "none"}, {"inside", "outside", "shell"}),
        ({"allowed_tools": ("Bash",)}, {"shell"}),
        ({"allowed_tools": ("Bash",), "sandbox": "read-only"}, set[str]()),
    ],
)
async def test_an_agent_does_what_it_is_permitted(
    name: str, permissions: dict[str, Any], made: set[str], tmp_path: Path
) -> None:
    workdir, outside = tmp_path / "workdir", tmp_path / "elsewhere" / "outside"
    workdir.mkdir()
    outside.parent.mkdir()
    shell = tmp_path / "elsewhere" / "shell"
    script = calls(
        ("Write", {"file_path": str(workdir / "inside"), "content": "x"}),
        ("Write", {"file_path": str(outside), "content": "x"}),
        ("Bash", {"command": f"python3 -c \"open('{shell}', 'w')\""}),
    )
    granted = Permissions(tools=True, **permissions)
    async with stage(name, tmp_path, script) as on:
        events = await on.ask("do it", workdir=workdir, permissions=granted)
    assert {path.name for path in (workdir / "inside", outside, shell) if path.exists()} == made
    assert text_of(events) == "done"
    assert [e.name for e in events if isinstance(e, ToolCall)] == ["Write", "Write", "Bash"]
    outputs = [event for event in events if isinstance(event, ToolOutput)]
    assert sum(not output.is_error for output in outputs) == len(made)
    assert len(outputs) == 3


@BOTH
async def test_max_turns_ends_the_tool_loop(name: str, tmp_path: Path) -> None:
    # A third request may be on its way before it is cut; it finds a model that thinks for ever.
    call = Reply(tools=(Scripted("Read", {"file_path": "missing"}),))
    script = in_turn(call, call, Reply(silent=True))

    async with stage(name, tmp_path, script) as on:
        granted = Permissions(tools=True)
        events = await on.ask("loop", permissions=granted, max_turns=2)
        assert completed(events).stop_reason == "max_turns"
        assert sum(isinstance(event, ToolOutput) for event in events) == 2
        await on.pool.drain(0)
        await on.provider.wait_for_idle()
        assert len(on.provider.turns) <= 3


@BOTH
@pytest.mark.parametrize("trusted", [False, True])
async def test_a_workdir_runs_code_only_when_it_is_trusted(
    name: str, trusted: bool, tmp_path: Path
) -> None:
    workdir, proof = tmp_path / "workdir", tmp_path / "proof"
    (workdir / ".claude").mkdir(parents=True)
    hook = {"hooks": [{"type": "command", "command": f"touch {proof}"}]}
    settings = {"hooks": {"UserPromptSubmit": [hook]}}
    (workdir / ".claude" / "settings.json").write_text(json.dumps(settings))
    async with stage(name, tmp_path) as on:
        granted = Permissions(tools=True, trusted=trusted)
        await on.ask("hi", workdir=workdir, permissions=granted)
    assert proof.exists() == trusted
