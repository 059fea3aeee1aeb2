"""Which sessions a query means: by conditions, and for a text by looking through them in slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import ColumnElement, Connection, or_, select, tuple_

from .schema import session_messages, session_tags, sessions
from .session_values import SUMMARY, session_of, valid_text
from .sessions import SessionQuery, StoredSession

SLICE = 250
"""Sessions that are searched for a text at once: all who need the store wait so long."""

Place: TypeAlias = tuple[float, str]
"""Where a session stands in the order of use."""

NEWEST_FIRST = (sessions.c.updated_at.desc(), sessions.c.id.desc())


@dataclass(frozen=True, slots=True)
class Slice:
    """What a part of the sessions held.

    Attributes:
        found: ids of the sessions with the text, last used first.
        last: place of the last session that was looked at; None when there are no more.
    """

    found: tuple[str, ...]
    last: Place | None


def conditions(query: SessionQuery) -> list[ColumnElement[bool]]:
    """What a session must fulfil to be found, all of it, but for the text."""
    equal = {
        sessions.c.owner: query.owner,
        sessions.c.backend: query.backend,
        sessions.c.workdir: query.workdir,
    }
    found = [column == valid_text(value) for column, value in equal.items() if value is not None]
    if query.status is not None:
        found += _has_status(query.status, query.running)
    if query.tag is not None:
        tagged = select(session_tags.c.session_id).where(
            session_tags.c.tag == valid_text(query.tag)
        )
        found.append(sessions.c.id.in_(tagged))
    return found


def search(connection: Connection, query: SessionQuery, text: str, after: Place | None) -> Slice:
    """Look through the next `SLICE` sessions that fulfil the other conditions.

    Args:
        text: in the title or in a message.
        after: the `last` of the slice before; None begins with the last used.
    """
    where = conditions(query)
    if after is not None:
        where.append(tuple_(sessions.c.updated_at, sessions.c.id) < after)
    part = (
        select(sessions.c.id, sessions.c.title, sessions.c.updated_at)
        .where(*where)
        .order_by(*NEWEST_FIRST)
        .limit(SLICE)
        .subquery()
    )
    wanted = valid_text(text)
    said = select(session_messages.c.session_id).where(
        session_messages.c.session_id == part.c.id,
        session_messages.c.text.icontains(wanted, autoescape=True),
    )
    has_text = or_(part.c.title.icontains(wanted, autoescape=True), said.exists())
    rows = connection.execute(
        select(part.c.id, part.c.updated_at, has_text).order_by(
            part.c.updated_at.desc(), part.c.id.desc()
        )
    ).all()
    found = tuple(name for name, _, has in rows if has)
    if len(rows) < SLICE:
        return Slice(found, None)
    name, updated_at, _ = rows[-1]
    return Slice(found, (updated_at, name))


def named(connection: Connection, ids: Sequence[str]) -> tuple[StoredSession, ...]:
    """The sessions of these ids that are there, in this order."""
    rows = connection.execute(select(*SUMMARY).where(sessions.c.id.in_(ids))).mappings()
    there = {row["id"]: session_of(row) for row in rows}
    return tuple(there[name] for name in ids if name in there)


def _has_status(status: str, running: frozenset[str]) -> list[ColumnElement[bool]]:
    if status == "active":
        return [sessions.c.id.in_(running)]
    return [sessions.c.status == status, sessions.c.id.not_in(running)]
