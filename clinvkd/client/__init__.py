"""The daemon's native API from outside: finds the daemon, asks it, reads what it streams.

It speaks HTTP and knows nothing of the daemon's inside.
"""

from __future__ import annotations

from .address import Address, api_key, find_address, parse_address
from .connection import Client
from .failures import Failure, Unreachable
from .spawn import answers, spawned

__all__ = [
    "Address",
    "Client",
    "Failure",
    "Unreachable",
    "answers",
    "api_key",
    "find_address",
    "parse_address",
    "spawned",
]
