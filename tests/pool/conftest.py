"""Orphans of agents come to the tests as they come to the daemon."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator

import pytest

from clinvkd.pool import crew, descendants


@pytest.fixture(autouse=True, scope="package")
def _subreaper() -> Iterator[None]:
    descendants.become_subreaper()
    yield
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)


@pytest.fixture(autouse=True)
def _spares_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "REFILL_DELAY", 0.02)
