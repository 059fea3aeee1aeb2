"""What the store has to let go: what ran when the daemon ended, and what has become too old."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn

import structlog

from .config import SessionSettings
from .errors import StoreUnavailable
from .store import Store

PAUSE_SECS = 3_600.0
"""How often it is looked for what has become too old."""

BATCH = 100
"""Most sessions or jobs of one transaction: others get their turn in between."""

IDEMPOTENCY_SECS = 86_400.0
"""How long an idempotency key stands for its answer."""

_DAY_SECS = 86_400
_log = structlog.get_logger(__name__)


async def tidy(
    store: Store,
    cleared: Awaitable[Mapping[str, int]],
    settings: Callable[[], SessionSettings],
    running: Callable[[], frozenset[str]],
) -> NoReturn:
    """Tell what the last daemon left, then forget what becomes too old, until it is cancelled.

    Args:
        cleared: of the store, see `Store.clear_up`.
        settings: gives the configuration in force.
        running: gives the ids of sessions in which a turn runs; they are spared.
    """
    try:
        _log.info("store ready", **await cleared)
    except StoreUnavailable as error:
        _log.warning("the store cannot be used", reason=error.message)
    while True:
        try:
            await prune(store, time.time(), settings().retention_days, running)
        except StoreUnavailable as error:
            _log.warning("the store cannot be pruned", reason=error.message)
        except Exception:  # noqa: BLE001 - the last line of defence
            _log.exception("pruning the store failed")
        await asyncio.sleep(PAUSE_SECS)


async def prune(
    store: Store, now: float, days: int, running: Callable[[], frozenset[str]] = frozenset
) -> None:
    """Forget what is too old at `now`.

    Args:
        days: how long sessions, jobs and responses are kept after their last use; 0 for ever.

    Raises:
        StoreUnavailable: the store does not work.
    """
    await store.idempotency.prune(now - IDEMPOTENCY_SECS)
    if not days:
        return
    oldest = now - days * _DAY_SECS
    await store.responses.prune(oldest)
    await _in_batches(lambda: store.sessions.prune(oldest, BATCH, running()))
    await _in_batches(lambda: store.jobs.prune(oldest, BATCH))


async def _in_batches(forget: Callable[[], Awaitable[int]]) -> None:
    while await forget() == BATCH:
        pass
