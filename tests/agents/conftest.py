from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .client import AgentClient, running_agent


@pytest.fixture
async def echo(tmp_path: Path) -> AsyncIterator[AgentClient]:
    async with running_agent(tmp_path, "echo") as client:
        yield client
