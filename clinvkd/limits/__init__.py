"""How much anybody may ask of the daemon: connections, requests, turns, tokens."""

from __future__ import annotations

from .addresses import Addresses
from .connections import Connections, GuardedRunner
from .quotas import Limit, Quotas
from .rates import Limiter, Rate, Verdict

__all__ = [
    "Addresses",
    "Connections",
    "GuardedRunner",
    "Limit",
    "Limiter",
    "Quotas",
    "Rate",
    "Verdict",
]
