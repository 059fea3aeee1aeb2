"""One daemon and one browser for all tests of the dashboard."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ..gate.browser import browser
from ..gate.stage import staged
from .tab import DESKTOP, Tab

ECHO = {"driver": "acp", "command": [sys.executable, "-m", "clinvkd.agents.echo"]}
BACKENDS = {"alpha": ECHO, "beta": ECHO, "local": {"enabled": False}}
POOL = {"agents": 2, "conversations": 256}


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def tab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tab]:
    folder = tmp_path_factory.mktemp("dashboard")
    async with (
        staged(folder, backends=BACKENDS, pool=POOL) as stage,
        browser(folder) as program,
    ):
        await program.watch()
        await program.resize(*DESKTOP)
        yield Tab(stage, program)
