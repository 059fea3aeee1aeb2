"""Token buckets: how many requests a client may send, kept in memory or shared through Redis.

A bucket holds `burst` requests and is refilled with `per_second`; the algorithm is GCRA, which
keeps one number per client.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from ..errors import ConfigError

if TYPE_CHECKING:
    from throttled.asyncio import BaseStore, RateLimitState, Throttled

_CLIENTS = 10_000  # remembered in memory; the least recent is forgotten first
_PERIOD = timedelta(seconds=1_000_000)
_REDIS_SECONDS = 0.5  # that a request waits for Redis
_REDIS_PAUSE = 5.0  # seconds without asking it after it failed

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rate:
    """A bucket.

    Attributes:
        per_second: by how many requests it is refilled, above 0.
        burst: how many it holds, at least 1.
    """

    per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a bucket says to one request.

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


class Limiter:
    """All buckets.

    When Redis fails, each daemon counts for itself until it answers again: a rate is no
    authorisation, so its loss must neither open the door nor close it.

    Args:
        redis_url: the server that several daemons share their buckets through; None keeps them
            in this process.

    Raises:
        ConfigError: Redis is asked for, and its client is not installed.
    """

    def __init__(self, redis_url: str | None = None) -> None:
        self._redis_url = redis_url
        self._memory: BaseStore | None = None
        self._redis: BaseStore | None = None
        self._buckets: dict[tuple[Rate, bool], Throttled] = {}
        self._redis_from = -math.inf
        if redis_url is not None:
            self._open()

    async def hit(self, name: str, rate: Rate) -> Verdict:
        """Take one request out of the bucket of that name.

        Args:
            name: of the client; buckets of different rates never share one.
        """
        if self._memory is None:
            await asyncio.to_thread(self._open)  # an import of some 50 ms
        if self._redis is not None and time.monotonic() >= self._redis_from:
            from throttled.exceptions import StoreUnavailableError

            try:
                return await self._ask(name, rate, shared=True)
            except StoreUnavailableError as error:
                self._redis_from = time.monotonic() + _REDIS_PAUSE
                _log.warning("rate limits are not shared", reason=repr(error.__cause__))
        return await self._ask(name, rate, shared=False)

    async def aclose(self) -> None:
        """Let go of Redis."""
        if self._redis is not None:
            from .redis import SharedStore

            assert isinstance(self._redis, SharedStore)
            await self._redis.aclose()

    def _open(self) -> None:
        from throttled.asyncio import MemoryStore

        if self._redis_url is not None:
            try:
                from .redis import SharedStore
            except ImportError:
                raise ConfigError(
                    "server.rate_limit_redis_url: needs the extra clinvkd[redis]"
                ) from None
            self._redis = SharedStore(self._redis_url, _REDIS_SECONDS)
        self._memory = MemoryStore(options={"MAX_SIZE": _CLIENTS})

    async def _ask(self, name: str, rate: Rate, *, shared: bool) -> Verdict:
        bucket = self._buckets.get((rate, shared))
        if bucket is None:
            bucket = self._buckets[rate, shared] = _bucket(
                rate, self._redis if shared else self._memory
            )
        result = await bucket.limiter.limit(f"{name}/{rate.per_second}/{rate.burst}")
        state: RateLimitState = result.state
        return Verdict(
            allowed=not result.limited,
            limit=rate.burst,
            remaining=0 if result.limited else state.remaining,
            full_at=time.time() + state.reset_after,
            retry_after=state.retry_after,
        )


def _bucket(rate: Rate, store: BaseStore | None) -> Throttled:
    from throttled.asyncio import RateLimiterType, Throttled, rate_limiter

    # The library counts whole requests in whole seconds: in so many of them slow rates are exact.
    requests = max(1, round(rate.per_second * _PERIOD.total_seconds()))
    quota = rate_limiter.per_duration(_PERIOD, requests, burst=rate.burst)
    return Throttled(
        using=RateLimiterType.GCRA.value, quota=quota, store=store, key_prefix="clinvk"
    )
