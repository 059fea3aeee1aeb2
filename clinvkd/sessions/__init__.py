"""The sessions of all dialects: conversations callers can come back to, by an id of ours.

They are kept in the store, in canonical form. Those used last are held in memory too, so that to
go on with one needs no read; with `session.store_content` off this is the only place where their
messages are. A session outlives the agent that made it: if no agent holds it any more, its history
is seeded into another one.
"""

from __future__ import annotations

from .checks import MOST_TAGS, TAG_LENGTH, TITLE_LENGTH, check_tags
from .held import HeldSessions
from .session import Keeping, Session
from .session_store import SessionStore

__all__ = [
    "MOST_TAGS",
    "TAG_LENGTH",
    "TITLE_LENGTH",
    "HeldSessions",
    "Keeping",
    "Session",
    "SessionStore",
    "check_tags",
]
