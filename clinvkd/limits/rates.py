"""How many requests a client may send: token buckets in memory, or shared through Redis."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from ..errors import ConfigError
from .buckets import Buckets, Rate, Verdict

if TYPE_CHECKING:
    from throttled.asyncio import RateLimitState, Throttled

    from .redis import SharedStore

_CLIENTS = 10_000  # remembered in memory; the least recent is forgotten first
_PERIOD = timedelta(seconds=1_000_000)
_REDIS_SECONDS = 0.5  # that a request waits for Redis
_REDIS_PAUSE = 5.0  # seconds without asking it after it failed

_log = structlog.get_logger(__name__)


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
        self._own = Buckets(_CLIENTS)
        self._store = None if redis_url is None else _shared_store(redis_url)
        self._shared: dict[Rate, Throttled] = {}
        self._shared_from = -math.inf

    def hit_at_once(self, name: str, rates: Sequence[Rate]) -> Verdict | None:
        """As `strictest`, without waiting; None where Redis has to be asked."""
        if self._store is not None:
            return None
        strictest = self._own.hit(name, rates[0])
        for rate in rates[1:]:
            if not strictest.allowed:
                break
            strictest = _stricter(strictest, self._own.hit(name, rate))
        return strictest

    async def strictest(self, name: str, rates: Sequence[Rate]) -> Verdict:
        """Take one request out of the buckets of that name, until one refuses.

        Args:
            name: of the client; buckets of different rates never share one.
            rates: at least one.

        Returns:
            What the one says that refused, or of which the least is left.
        """
        strictest = await self.hit(name, rates[0])
        for rate in rates[1:]:
            if not strictest.allowed:
                break
            strictest = _stricter(strictest, await self.hit(name, rate))
        return strictest

    async def hit(self, name: str, rate: Rate) -> Verdict:
        """Take one request out of the bucket of that name.

        Args:
            name: of the client; buckets of different rates never share one.
        """
        if self._store is not None and time.monotonic() >= self._shared_from:
            from throttled.exceptions import StoreUnavailableError

            try:
                return await self._hit_shared(self._store, name, rate)
            except StoreUnavailableError as error:
                self._shared_from = time.monotonic() + _REDIS_PAUSE
                _log.warning("rate limits are not shared", reason=repr(error.__cause__))
        return self._own.hit(name, rate)

    async def aclose(self) -> None:
        """Let go of Redis."""
        if self._store is not None:
            await self._store.aclose()

    async def _hit_shared(self, store: SharedStore, name: str, rate: Rate) -> Verdict:
        bucket = self._shared.get(rate)
        if bucket is None:
            bucket = self._shared[rate] = _shared_bucket(store, rate)
        result = await bucket.limiter.limit(f"{name}/{rate.per_second}/{rate.burst}")
        state: RateLimitState = result.state
        return Verdict(
            allowed=not result.limited,
            limit=rate.burst,
            remaining=0 if result.limited else state.remaining,
            full_at=time.time() + state.reset_after,
            retry_after=state.retry_after,
        )


def _stricter(one: Verdict, other: Verdict) -> Verdict:
    return other if not other.allowed or other.remaining < one.remaining else one


def _shared_store(redis_url: str) -> SharedStore:
    try:
        from .redis import SharedStore
    except ImportError:
        raise ConfigError("server.rate_limit_redis_url: needs the extra clinvkd[redis]") from None
    return SharedStore(redis_url, _REDIS_SECONDS)


def _shared_bucket(store: SharedStore, rate: Rate) -> Throttled:
    from throttled.asyncio import RateLimiterType, Throttled, rate_limiter

    # The library counts whole requests in whole seconds: in so many of them slow rates are exact.
    requests = max(1, round(rate.per_second * _PERIOD.total_seconds()))
    quota = rate_limiter.per_duration(_PERIOD, requests, burst=rate.burst)
    return Throttled(
        using=RateLimiterType.GCRA.value, quota=quota, store=store, key_prefix="clinvk"
    )
