"""The events of several prompts, shown as they come, up to the whole answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from ..client import Failure
from .lanes import Lanes, display_of
from .terminal import Terminal


async def followed(
    terminal: Terminal,
    kind: str,
    request: Mapping[str, Any],
    events: AsyncIterator[Mapping[str, Any]],
    *,
    again: bool = True,
) -> dict[str, Any] | None:
    """Show the lanes of a request until its events end; the whole answer, if there was one.

    Args:
        again: the answers are printed once more at the end.

    Raises:
        Failure: not a lane but all of it failed.
    """
    lanes = Lanes(kind, request)
    with display_of(terminal, lanes, again=again) as display:
        async for event in events:
            if event["type"] == "result":
                return dict(event["content"])
            if event["type"] == "error" and lanes.lane_of(event) is None:
                raise Failure.told(event["content"])
            display.feed(event)
    return None
