"""How late the event loop is: what blocks it delays every stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

INTERVAL = 0.5
"""Seconds between two looks."""


class LagWatch:
    """Sets a timer again and again and tells by how much it came too late.

    Args:
        tell: is given seconds, at least 0.
    """

    def __init__(self, tell: Callable[[float], None]) -> None:
        self._tell = tell
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to watch the running loop."""
        loop = asyncio.get_running_loop()
        due = loop.time() + INTERVAL

        def look() -> None:
            self._tell(max(0.0, loop.time() - due))
            self.start()

        self._timer = loop.call_at(due, look)

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
