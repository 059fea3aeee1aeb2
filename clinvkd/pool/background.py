"""Tasks that outlive the request that caused them, owned so that none is lost or forgotten."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import structlog

_log = structlog.get_logger(__name__)


class Background:
    """A set of running tasks. A failure is logged, not raised; `aclose` waits for all of them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, coroutine: Coroutine[Any, Any, object], name: str) -> asyncio.Task[None]:
        """Run `coroutine` beside everything else; its task, which never fails."""
        task = asyncio.get_running_loop().create_task(self._run(coroutine, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def aclose(self, grace: float) -> None:
        """Wait for the running tasks and those they start; cancel what is left after `grace` s."""
        until = time.monotonic() + grace
        while self._tasks:
            left = until - time.monotonic()
            if left <= 0:
                for task in self._tasks:
                    task.cancel()
            await asyncio.wait(self._tasks, timeout=left if left > 0 else None)

    @staticmethod
    async def _run(coroutine: Coroutine[Any, Any, object], name: str) -> None:
        try:
            await coroutine
        except Exception:  # noqa: BLE001 - the last line of defence
            _log.exception("background task failed", task=name)
