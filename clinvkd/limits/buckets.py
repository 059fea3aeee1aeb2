"""Token buckets of this process: GCRA, which keeps of each only when it will be full again."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Rate:
    """A bucket.

    Attributes:
        per_second: by how many requests it is refilled, above 0.
        burst: how many it holds, at least 1.
    """

    per_second: float
    burst: int


class Verdict(NamedTuple):
    """What a bucket says to one request; one is made for each, so it is cheap to make.

    Attributes:
        allowed: whether there was one left.
        limit: how many the bucket holds.
        remaining: how many are left.
        full_at: when it will be full again, in seconds since the epoch.
        retry_after: seconds until there is one again; 0 when the request was allowed.
    """

    allowed: bool
    limit: int
    remaining: int
    full_at: float
    retry_after: float


class Buckets:
    """Buckets by the names of clients. One that has not been asked for long is forgotten, which
    makes it full, so there must be room for more than are refilled in a while.

    Args:
        most: how many are remembered; the least recent is forgotten first.
        clock: gives seconds, never backwards.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._full_at: OrderedDict[tuple[str, float, int], float] = OrderedDict()

    def hit(self, name: str, rate: Rate) -> Verdict:
        """Take one request out of the bucket of that name.

        Args:
            name: of the client; buckets of different rates never share one.
        """
        key = (name, rate.per_second, rate.burst)
        now = self._clock()
        before = self._full_at.get(key, now)
        wait = max(before - now, 0.0)  # until it is full
        left = rate.burst - 1 - wait * rate.per_second
        # What is computed of a whole number may fall short of it by the last bit.
        allowed = left > -1e-9
        if allowed:
            wait += 1 / rate.per_second
            self._full_at[key] = now + wait
            self._full_at.move_to_end(key)
            if len(self._full_at) > self._most:
                self._full_at.popitem(last=False)
        return Verdict(
            allowed=allowed,
            limit=rate.burst,
            remaining=int(left + 1e-9) if allowed else 0,
            full_at=time.time() + wait,
            retry_after=0.0 if allowed else -left / rate.per_second,
        )
