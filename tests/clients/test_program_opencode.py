"""opencode edits a file with its own tools, through two dialects."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ..real_agents import RealAgent, prepare
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
    async with workplace(backend, tmp_path_factory.mktemp(f"opencode-{backend}")) as one:
        yield one


def opencode(place: Workplace, package: str, path: str, folder: Path) -> RealAgent:
    """opencode with the daemon as its only provider; the npm package comes with it."""
    program = prepare("opencode", place.stage.daemon.url, folder)
    model = place.stage.backend
    provider = {
        "npm": package,
        "options": {"baseURL": f"{place.stage.daemon.url}{path}", "apiKey": "any"},
        "models": {model: {"limit": {"context": 200_000, "output": 32_000}}},
    }
    settings = {
        "model": f"clinvk/{model}",
        "small_model": f"clinvk/{model}",
        "autoupdate": False,
        "share": "disabled",
        "provider": {"clinvk": provider},
    }
    (program.home / ".config/opencode/opencode.json").write_text(json.dumps(settings))
    return program


@pytest.mark.parametrize(
    ("package", "path"),
    [
        pytest.param(package, path, id=package, marks=pytest.mark.row(f"opencode, `{package}`"))
        for package, path in (
            ("@ai-sdk/openai-compatible", "/openai/v1"),
            ("@ai-sdk/anthropic", "/anthropic/v1"),
        )
    ],
)
async def test_it_edits_a_file(place: Workplace, package: str, path: str, tmp_path: Path) -> None:
    program = opencode(place, package, path, tmp_path)
    file = str(program.directory / FILE)
    steps = (
        Step("read", {"filePath": file}),
        Step("edit", {"filePath": file, "oldString": "alpha", "newString": "beta"}),
    )
    marker = package.rpartition("/")[2]
    await place.carry_out(program, marker, steps, "run", "--format", "json")
