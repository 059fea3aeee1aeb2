"""Claude Code edits a file with its own tools; every backend stands in for its provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ..real_agents import prepare
from .programs_as_clients.task import Step
from .programs_as_clients.workplace import FILE, Workplace, workplace
from .stage import REAL, backends

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.parametrize("backend", backends(*REAL), scope="module"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workplace]:
    async with workplace(backend, tmp_path_factory.mktemp(f"claude-code-{backend}")) as one:
        yield one


@pytest.mark.row("Claude Code")
@pytest.mark.parametrize("version", ["claude", "claude-old"])
async def test_it_edits_a_file(place: Workplace, version: str, tmp_path: Path) -> None:
    program = prepare(version, f"{place.stage.daemon.url}/anthropic", tmp_path)
    file = str(program.directory / FILE)
    steps = (
        Step("Read", {"file_path": file}),
        # It sends this call back with "replace_all": false, the default of its schema.
        Step("Edit", {"file_path": file, "old_string": "alpha", "new_string": "beta"}),
    )
    await place.carry_out(
        program, f"claude-code-{version}", steps,
        "-p", "--model", place.stage.backend, "--permission-mode", "acceptEdits",
        "--output-format", "stream-json", "--verbose",
    )  # fmt: skip
