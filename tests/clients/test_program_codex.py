"""The Codex CLI edits a file with its own tools; every backend stands in for its provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ..real_agents import prepare
from .programs_as_clients.task import Step
from .programs_as_clients.workplace import FILE, KNOWN_TO_CODEX, Workplace, workplace
from .stage import REAL, backends

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.parametrize("backend", backends(*REAL), scope="module"),
    pytest.mark.row("Codex CLI"),
]

READ = Step("exec_command", {"cmd": f"cat {FILE}"})
PATCH = f"*** Begin Patch\n*** Update File: {FILE}\n@@\n-alpha\n+beta\n*** End Patch\n"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workplace]:
    async with workplace(backend, tmp_path_factory.mktemp(f"codex-cli-{backend}")) as one:
        yield one


async def carry_out(
    place: Workplace, folder: Path, marker: str, steps: tuple[Step, ...], *arguments: str
) -> None:
    """Have it do the steps; a search in the web is nothing a daemon on this machine can run."""
    program = prepare("codex", f"{place.stage.daemon.url}/openai", folder)
    await place.carry_out(
        program, marker, steps,
        "exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox",
        "--config", 'web_search="disabled"', *arguments,
    )  # fmt: skip


async def test_it_edits_a_file_by_commands(place: Workplace, tmp_path: Path) -> None:
    steps = (
        READ,
        # A function of a namespace: Codex finds it, and that there is no such agent.
        Step("multi_agent_v1__close_agent", {"target": "nobody"}),
        Step("exec_command", {"cmd": f"sed -i s/alpha/beta/ {FILE}"}),
    )
    await carry_out(place, tmp_path, "commands", steps, "--model", place.stage.backend)


async def test_it_edits_a_file_by_a_patch(place: Workplace, tmp_path: Path) -> None:
    steps = (READ, Step("apply_patch", {"input": PATCH}))
    await carry_out(
        place, tmp_path, "patch", steps,
        "--model", KNOWN_TO_CODEX, "--config", "agents.enabled=false",
    )  # fmt: skip
