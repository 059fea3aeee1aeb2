"""One running service for all tests of the dialect that change nothing in it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .talk import BACKENDS, Anthropic, serving


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def anthropic(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Anthropic]:
    async with serving(tmp_path_factory.mktemp("anthropic"), backends=BACKENDS) as running:
        yield running
