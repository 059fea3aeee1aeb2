"""API keys: what they are, where they come from, what each may be used for.

A key itself is never kept: only its SHA-256 digest is, in memory and in files.
"""

from __future__ import annotations

from .caller import OWNER, SAME_USER, STRANGER, Caller
from .key import Key, digest_of, new_key
from .ring import KeyRing
from .scopes import Scopes
from .sources import KeySources

__all__ = [
    "OWNER",
    "SAME_USER",
    "STRANGER",
    "Caller",
    "Key",
    "KeyRing",
    "KeySources",
    "Scopes",
    "digest_of",
    "new_key",
]
