"""What outlives the daemon: one database file, used by one thread of its own.

Importing this package costs nothing: SQLAlchemy is imported in the store's thread, Alembic only
when the file needs a migration.
"""

from __future__ import annotations

from .canonical import decode_binding, decode_messages, encode_binding, encode_messages
from .responses import Responses, ResponseStatus, StoredResponse
from .store import Store

__all__ = [
    "ResponseStatus",
    "Responses",
    "Store",
    "StoredResponse",
    "decode_binding",
    "decode_messages",
    "encode_binding",
    "encode_messages",
]
