"""The sessions held in memory: those used last, bounded by number and size."""

from __future__ import annotations

from collections import OrderedDict

from ..prompt import Audio, Document, Image, Message, Text, Thinking, ToolResult, ToolUse
from .session import Session

MOST_SESSIONS = 10_000
MOST_BYTES = 256 * 1024 * 1024


class HeldSessions:
    """Sessions by their ids; the longest unused goes first.

    Args:
        most: most sessions.
        most_bytes: about the most bytes of their messages; one session may be larger.
    """

    def __init__(self, most: int = MOST_SESSIONS, most_bytes: int = MOST_BYTES) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._bytes = 0
        self._most = most
        self._most_bytes = most_bytes

    def __len__(self) -> int:
        return len(self._sessions)

    def peek(self, session_id: str) -> Session | None:
        """The session, if it is held."""
        return self._sessions.get(session_id)

    def use(self, session_id: str, owner: str | None) -> Session | None:
        """The session, if it is held and this owner's (None: anybody's); it has been used."""
        session = self._sessions.get(session_id)
        if session is None or owner not in (None, session.owner):
            return None
        self._sessions.move_to_end(session_id)
        return session

    def put(self, session: Session) -> None:
        """Hold a session, or its new state."""
        self.drop(session.id)
        self._sessions[session.id] = session
        self._sizes[session.id] = size = sum(_size(message) for message in session.messages)
        self._bytes += size
        while len(self._sessions) > self._most or (
            self._bytes > self._most_bytes and len(self._sessions) > 1
        ):
            self.drop(next(iter(self._sessions)))

    def drop(self, session_id: str) -> None:
        """Hold it no longer."""
        if self._sessions.pop(session_id, None) is not None:
            self._bytes -= self._sizes.pop(session_id)


def _size(message: Message) -> int:
    total = 0
    for block in message.content:
        match block:
            case Text(text):
                total += len(text)
            case Image(data=data) | Audio(data=data) | Document(data=data):
                total += len(data)
            case Thinking(text, signature):
                total += len(text) + len(signature)
            case ToolUse(input=value):
                total += len(str(value))
            case ToolResult(content=content):
                total += _size(Message("user", content))
    return total
