"""Looks after all pools every few seconds: idle and worn agents, memory, orphans."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from . import descendants
from .agent import State
from .pool import Pool
from .process import Spawner

_log = structlog.get_logger(__name__)

INTERVAL = 2.0
"""Seconds between two rounds."""

_MEBIBYTE = 1024 * 1024


async def keep(pools: Callable[[], Iterable[Pool]], spawner: Spawner) -> None:
    """Go round for ever; `pools` gives those that are in use now."""
    while True:
        await asyncio.sleep(INTERVAL)
        for pool in list(pools()):
            try:
                pool.tend()
                await _check_memory(pool)
            except Exception:  # noqa: BLE001 - the last line of defence
                _log.exception("looking after a pool failed", backend=pool.backend.name)
        try:
            spawner.reap()
        except Exception:  # noqa: BLE001 - the last line of defence
            _log.exception("collecting ended orphans failed")


async def _check_memory(pool: Pool) -> None:
    limit = pool.backend.pool.memory_limit_mb
    if not limit:
        return
    for agent in pool.crew:
        if agent.pid is None or agent.state is not State.READY:
            continue
        agent.memory_bytes = await asyncio.to_thread(descendants.memory, agent.pid)
        used = agent.memory_bytes / _MEBIBYTE
        if used > limit:
            pool.crew.retire(agent, f"it used {used:.0f} MiB of {limit} MiB")
