"""Turns to record in sessions."""

from __future__ import annotations

from typing import Any

from clinvkd.prompt import Message, Prompt, Text
from clinvkd.store import Store, StoredSession, TurnRecord

ID = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"


def user(text: str) -> Message:
    return Message("user", (Text(text),))


def assistant(text: str) -> Message:
    return Message("assistant", (Text(text),))


def turn(text: str, *history: Message, answer: str = "yes", **changes: Any) -> TurnRecord:
    """A completed turn of alice's on claude, but for the changes."""
    names = ("backend", "client", "model", "system", "tools", "workdir")
    asked = {name: changes.pop(name) for name in names if name in changes}
    asked = {"backend": "claude", "client": "alice", **asked}
    values = {
        "prompt": Prompt(messages=(*history, user(text)), **asked),
        "reply": assistant(answer),
        "ended_at": 1_000.5,
        **changes,
    }
    return TurnRecord(**values)


async def recorded(store: Store, record: TurnRecord) -> StoredSession:
    """The session a turn was recorded in."""
    place = await store.sessions.record(record)
    assert place is not None
    session = await store.sessions.get(place.session_id, record.prompt.client)
    assert session is not None
    assert session.message_count == place.message_count
    return session


async def said(store: Store, session_id: str) -> list[str]:
    return [each.message.text for each in await store.sessions.messages(session_id, None)]
