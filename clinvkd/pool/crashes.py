"""When a backend's agents fail to start, again and again: back off, then call it down."""

from __future__ import annotations

import math
import time
from collections import deque

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


class Crashes:
    """Failed starts of one backend.

    Spares wait longer after each failure in a row (0.5 s doubling to 30 s), until an agent has
    proved to be of use. When `budget` starts failed within `window` seconds the backend is down:
    callers are refused at once, until the oldest of them is out of the window, or a start goes
    well.
    """

    def __init__(self, budget: int, window: float) -> None:
        self._budget = budget
        self._window = window
        self._failures: deque[float] = deque(maxlen=budget)
        self._in_a_row = 0
        self._latest = 0.0
        self._last = ""

    def failed(self, why: str) -> None:
        """A start failed."""
        self.wasted()
        self._failures.append(self._latest)
        self._last = why

    def wasted(self) -> None:
        """An agent ended by itself before anybody used it: no more than a reason to wait."""
        self._latest = time.monotonic()
        self._in_a_row += 1

    def started(self) -> None:
        """A start went well: the backend is not down."""
        self._failures.clear()

    def proved(self) -> None:
        """An agent completed a turn, or lived for long."""
        self._in_a_row = 0

    @property
    def pause(self) -> float:
        """Seconds until the next start in the background is due; 0 when it is."""
        if not self._in_a_row:
            return 0.0
        wait = min(_FIRST_PAUSE * 2.0 ** min(self._in_a_row - 1, 9), _LONGEST_PAUSE)
        return max(0.0, self._latest + wait - time.monotonic())

    @property
    def reason(self) -> str | None:
        """Why the backend is down, or None when it is not."""
        if self.retry_after is None:
            return None
        return f"{len(self._failures)} starts in a row failed, the last one because {self._last}"

    @property
    def retry_after(self) -> int | None:
        """Whole seconds until the backend is tried again, or None when it is not down."""
        if len(self._failures) < self._budget:
            return None
        left = self._failures[0] + self._window - time.monotonic()
        return math.ceil(left) if left > 0 else None
