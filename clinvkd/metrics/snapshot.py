"""The state of the daemon at one moment: what is looked up when somebody asks, not counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..limits import Limit
from ..loop_guard import Loop
from ..pool import AgentUse, Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendState:
    """One backend and its pool."""

    available: bool
    figures: Figures
    use: AgentUse


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that is only looked up.

    Attributes:
        backends: by name.
        limit_refusals: requests that were refused so far, by limit.
        loop_refusals: requests that were refused so far, by shape of the loop.
        sessions: how many there are; None when the store did not say in time.
        sessions_created: how many were begun so far.
    """

    version: str
    backends: Mapping[str, BackendState]
    limit_refusals: Mapping[Limit, int]
    loop_refusals: Mapping[Loop, int]
    sessions: int | None
    sessions_created: int
    store_available: bool
