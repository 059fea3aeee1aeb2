"""How much anybody may ask of the daemon: connections, requests, turns, tokens."""

from __future__ import annotations

from .addresses import Addresses
from .buckets import Rate, Verdict
from .connections import Connections, GuardedRunner
from .quotas import Limit, Quotas
from .rates import Limiter

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
