"""One running service for all tests of the dialect that change nothing in it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .talk import BACKENDS, OpenAI, serving


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def openai(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpenAI]:
    async with serving(tmp_path_factory.mktemp("openai"), backends=BACKENDS) as running:
        yield running
