"""Sessions and their messages as columns, and back."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Column, Double, RowMapping, bindparam, func, literal

from ..events import Usage
from ..prompt import Message, Text
from .canonical import decode_messages, encode_messages, from_json, to_json
from .schema import sessions
from .sessions import StoredMessage, StoredSession

TITLE_LENGTH = 80
"""Most characters of a title that is made of the first prompt."""

_NOT_TOLD = {"head_digest", "binding"}
SUMMARY: tuple[Column[Any], ...] = tuple(c for c in sessions.c if c.name not in _NOT_TOLD)
"""The columns of what is told of a session; to read them reads none of its content."""

_USAGE = tuple(field.name for field in fields(Usage))


def session_of(row: RowMapping) -> StoredSession:
    """The session of a row with the columns of `SUMMARY`."""
    plain = {
        column.name: row[column.name]
        for column in SUMMARY
        if column.name not in (*_USAGE, "tags", "metadata")
    }
    return StoredSession(
        **plain,
        usage=Usage(**{name: row[name] for name in _USAGE}),
        tags=tuple(from_json(row["tags"])),
        metadata=from_json(row["metadata"]),
    )


def usage_values(usage: Usage | None) -> dict[str, int]:
    """The columns of token counts; None is as good as no tokens."""
    return asdict(usage or Usage())


def usage_sums() -> dict[Column[Any], Any]:
    """What a further turn adds to a session: bind ``more_`` and the name of each usage column, and
    ``more_cost``, which may be None."""
    sums: dict[Column[Any], Any] = {
        sessions.c[name]: sessions.c[name] + bindparam(f"more_{name}") for name in _USAGE
    }
    more = bindparam("more_cost", type_=Double)
    # A cost that nobody told stays untold.
    both = sessions.c.cost_usd + func.coalesce(more, literal(0.0))
    sums[sessions.c.cost_usd] = func.coalesce(both, more)
    sums[sessions.c.turn_count] = sessions.c.turn_count + 1
    return sums


def message_values(message: Message, usage: Usage | None) -> dict[str, Any]:
    """The columns of a message's content.

    A message of one text, as nearly all are, is stored once, as the text that is searched.
    """
    text = message.text
    valid = valid_text(text)
    plain = len(message.content) == 1 and isinstance(message.content[0], Text) and valid == text
    return {
        "role": message.role,
        "usage": None if usage is None else to_json(asdict(usage)),
        "text": valid,
        "content": None if plain else to_json(encode_messages((message,))),
    }


def stored_message(row: RowMapping) -> StoredMessage:
    """The message of a row."""
    content, usage = row["content"], row["usage"]
    if content is None:
        message = Message(row["role"], (Text(row["text"]),))
    else:
        (message,) = decode_messages(from_json(content))
    return StoredMessage(
        position=row["position"],
        message=message,
        created_at=row["created_at"],
        usage=None if usage is None else Usage(**from_json(usage)),
    )


def title_of(messages: tuple[Message, ...]) -> str | None:
    """The first words the user said, on one line; None when there are none."""
    for message in messages:
        if message.role == "user" and (words := message.text[: 4 * TITLE_LENGTH].split()):
            title = valid_text(" ".join(words))
            return title if len(title) <= TITLE_LENGTH else title[: TITLE_LENGTH - 1] + "…"
    return None


def valid_text(text: str) -> str:
    """The text without what databases refuse: lone surrogates and NUL."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")
