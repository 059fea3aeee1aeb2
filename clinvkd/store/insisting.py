"""Writing what must not be lost, however long the store takes to work again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from ..errors import StoreUnavailable

RETRY_SECS = 2.0
"""How long after a failure it is tried again: an attempt may keep the store busy for 5 s."""

_Result = TypeVar("_Result")


async def insist(
    write: Callable[[], Awaitable[_Result]], stop: asyncio.Event | None = None
) -> _Result:
    """What `write` gives as soon as the store works; it is called until then.

    Args:
        stop: no further attempt is made once it is set; None leaves the end to cancellation.

    Raises:
        StoreUnavailable: it was stopped.
    """
    stop = asyncio.Event() if stop is None else stop
    while True:
        try:
            return await write()
        except StoreUnavailable:
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECS):
                    await stop.wait()
            if stop.is_set():
                raise
