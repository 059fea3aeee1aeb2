"""Conversations callers can come back to, by an id of ours.

They are kept in memory, in canonical form, bounded by number and size; the least recently used
goes first. A session outlives the agent that made it: if no agent holds it any more, its history
is seeded into another one.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from .errors import NotFound
from .prompt import Document, Image, Message, Prompt, Text, Thinking, ToolResult, ToolUse

MOST_SESSIONS = 10_000
MOST_BYTES = 256 * 1024 * 1024


@dataclass(slots=True, kw_only=True)
class Session:
    """One conversation.

    Attributes:
        id: 32 hexadecimal digits.
        prompt: the last prompt of it, with all earlier messages.
        messages: the canonical history, the last answer included.
        agent_session_id: the agent's own id of the last turn, or None.
        metadata: what the caller wants kept with it.
    """

    id: str
    prompt: Prompt
    messages: tuple[Message, ...]
    agent_session_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


class SessionStore:
    """All sessions of the daemon."""

    def __init__(self, most: int = MOST_SESSIONS, most_bytes: int = MOST_BYTES) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._most = most
        self._most_bytes = most_bytes
        self._sizes: dict[str, int] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._sessions)

    @staticmethod
    def new_id() -> str:
        """An id nobody can guess."""
        return secrets.token_hex(16)

    def get(self, session_id: str, client: str) -> Session:
        """The session of that full id.

        Raises:
            NotFound: there is none, or it is another client's.
        """
        session = self._sessions.get(session_id)
        if session is None or session.prompt.client != client:
            raise NotFound("there is no such session", param="session_id")
        self._sessions.move_to_end(session_id)
        return session

    def put(self, session: Session) -> None:
        """Keep a session, or its new state."""
        self._drop(session.id)
        self._sessions[session.id] = session
        self._sizes[session.id] = size = sum(_size(message) for message in session.messages)
        self._bytes += size
        while len(self._sessions) > self._most or (
            self._bytes > self._most_bytes and len(self._sessions) > 1
        ):
            self._drop(next(iter(self._sessions)))

    def _drop(self, session_id: str) -> None:
        if self._sessions.pop(session_id, None) is not None:
            self._bytes -= self._sizes.pop(session_id)


def _size(message: Message) -> int:
    total = 0
    for block in message.content:
        match block:
            case Text(text):
                total += len(text)
            case Image(data=data) | Document(data=data):
                total += len(data)
            case Thinking(text, signature):
                total += len(text) + len(signature)
            case ToolUse(input=value):
                total += len(str(value))
            case ToolResult(content=content):
                total += _size(Message("user", content))
    return total
