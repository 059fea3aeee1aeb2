"""Which sessions a query means, as conditions."""

from __future__ import annotations

from sqlalchemy import ColumnElement, or_, select

from .schema import session_messages, session_tags, sessions
from .session_values import valid_text
from .sessions import SessionQuery


def conditions(query: SessionQuery) -> list[ColumnElement[bool]]:
    """What a session must fulfil to be found; all of it."""
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
    if query.q is not None:
        text = valid_text(query.q)
        said = (
            select(session_messages.c.session_id)
            .where(
                session_messages.c.session_id == sessions.c.id,
                session_messages.c.text.icontains(text, autoescape=True),
            )
            .exists()
        )
        found.append(or_(sessions.c.title.icontains(text, autoescape=True), said))
    return found


def _has_status(status: str, running: frozenset[str]) -> list[ColumnElement[bool]]:
    if status == "active":
        return [sessions.c.id.in_(running)]
    return [sessions.c.status == status, sessions.c.id.not_in(running)]
