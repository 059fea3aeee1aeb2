from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clinvkd.store import Store

from .samples import opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database of this test will be, in a directory that is not there yet."""
    return tmp_path / "home" / "clinvk.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    async with opened(path) as store:
        yield store
