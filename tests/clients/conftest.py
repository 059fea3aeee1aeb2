"""One daemon per backend for all client tests, and each client program run once before it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from .stage import EVERY, Stages


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def stages(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stages]:
    stages = Stages(tmp_path_factory.mktemp("clients"))
    yield stages
    await stages.aclose()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the client tests of one backend together."""
    places = [
        place for place, item in enumerate(items) if Path(__file__).parent in item.path.parents
    ]
    ordered = sorted((items[place] for place in places), key=_backend)
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


def _backend(item: pytest.Item) -> int:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return EVERY.index(parameters["backend"]) if "backend" in parameters else -1
