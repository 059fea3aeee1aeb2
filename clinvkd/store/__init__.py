"""What outlives the daemon: one database file, used by one thread of its own.

Importing this package costs nothing: SQLAlchemy is imported in the store's thread, Alembic only
when the file needs a migration.
"""

from __future__ import annotations

from .canonical import decode_binding, decode_messages, encode_binding, encode_messages
from .idempotency import Claim, Idempotency, StoredAnswer
from .insisting import insist
from .jobs import JobEvent, JobPage, Jobs, JobStatus, StoredJob
from .responses import Responses, ResponseStatus, StoredResponse
from .sessions import (
    EndStatus,
    Recorded,
    SessionPage,
    SessionQuery,
    Sessions,
    SessionStatus,
    StoredHistory,
    StoredMessage,
    StoredSession,
    TurnRecord,
)
from .store import Store
from .usage import Account, Amounts, UsageGroup, UsageSum

__all__ = [
    "Account",
    "Amounts",
    "Claim",
    "EndStatus",
    "Idempotency",
    "JobEvent",
    "JobPage",
    "JobStatus",
    "Jobs",
    "Recorded",
    "ResponseStatus",
    "Responses",
    "SessionPage",
    "SessionQuery",
    "SessionStatus",
    "Sessions",
    "Store",
    "StoredAnswer",
    "StoredHistory",
    "StoredJob",
    "StoredMessage",
    "StoredResponse",
    "StoredSession",
    "TurnRecord",
    "UsageGroup",
    "UsageSum",
    "decode_binding",
    "decode_messages",
    "encode_binding",
    "encode_messages",
    "insist",
]
