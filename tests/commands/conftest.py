"""One daemon for all tests of commands; it listens on a unix socket, too."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ..daemon import Daemon, daemon, environment
from .running import Commands


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Daemon]:
    home = tmp_path_factory.mktemp("commands")
    with tempfile.TemporaryDirectory() as short:  # a socket's path may not be long
        config = (
            "default_backend: echo\n"
            f"server:\n  unix_socket: {short}/clinvk.sock\n"
            "log:\n  level: error\n"
        )
        async with daemon(home, config) as started:
            yield started


@pytest.fixture
def clinvk(running: Daemon, tmp_path: Path) -> Commands:
    """Commands in an empty directory that find the daemon by its configuration."""
    return Commands(environment(running.home, running.temporary), tmp_path)


@pytest.fixture
def stranger(tmp_path: Path) -> Commands:
    """Commands of somebody who has configured nothing and has no daemon."""
    home = tmp_path / "home"
    (home / ".clinvk").mkdir(parents=True)
    (home / ".clinvk" / "config.yaml").write_text("server:\n  port: 1\n")
    return Commands(environment(home, tmp_path), tmp_path)
