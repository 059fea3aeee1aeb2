"""The statements behind `Sessions`, on any database SQLAlchemy speaks to."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Boolean,
    Connection,
    RowMapping,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from ..prompt import Message
from .canonical import encode_binding, from_json, to_json
from .heads import head_digest
from .schema import session_messages, session_tags, sessions
from .session_counts import SessionCounts
from .session_search import NEWEST_FIRST, Place, Slice, conditions, named, search
from .session_values import (
    SUMMARY,
    message_values,
    session_of,
    stored_message,
    title_of,
    usage_sums,
    usage_values,
    valid_text,
)
from .sessions import (
    EndStatus,
    Recorded,
    SessionPage,
    SessionQuery,
    StoredHistory,
    StoredMessage,
    StoredSession,
    TurnRecord,
)

_ID = re.compile(r"[0-9a-f]{1,32}")

# Statements are built once: to build one costs more than to run it. What an update sets are the
# values it is run with, so the names of the conditions must be none of columns.
_IS_OWNERS = or_(bindparam("anybody", type_=Boolean), sessions.c.owner == bindparam("of_owner"))
_OWNED = and_(sessions.c.id == bindparam("of_id"), _IS_OWNERS)
_PLACE = (
    sessions.c.id,
    sessions.c.owner,
    sessions.c.backend,
    sessions.c.status,
    sessions.c.message_count,
    sessions.c.head_digest,
)
_SELECT = select(*SUMMARY).where(_OWNED)
_SELECT_WHOLE = select(*SUMMARY, sessions.c.binding).where(_OWNED)
_SELECT_PLACE = select(*_PLACE).where(_OWNED).with_for_update()
_SELECT_HOLDING = (
    select(*_PLACE)
    .where(
        sessions.c.head_digest == bindparam("of_head"),
        sessions.c.owner == bindparam("of_owner"),
        sessions.c.backend == bindparam("of_backend"),
        sessions.c.id.not_in(bindparam("busy", expanding=True)),
    )
    .order_by(sessions.c.updated_at.desc())
    .limit(1)
    .with_for_update()
)
_BEGINS = and_(sessions.c.id >= bindparam("first"), sessions.c.id < bindparam("behind"), _IS_OWNERS)
_SELECT_BEGINNING = select(*SUMMARY).where(_BEGINS).limit(2)
_COUNT_BEGINNING = select(func.count()).select_from(sessions).where(_BEGINS)
_SELECT_UNUSED = (
    select(*_PLACE)
    .where(
        sessions.c.updated_at < bindparam("older_than"),
        sessions.c.id.not_in(bindparam("spared", expanding=True)),
    )
    .order_by(sessions.c.updated_at)
    .limit(bindparam("most"))
)
_INSERT = insert(sessions)
_HAS_ID = sessions.c.id == bindparam("of_id")
_ADD_TURN = update(sessions).where(_HAS_ID).values(usage_sums())
_UPDATE = update(sessions).where(_HAS_ID)
_DELETE = delete(sessions).where(_HAS_ID)
_INSERT_MESSAGES = insert(session_messages)
_SELECT_MESSAGES = (
    select(session_messages)
    .join(sessions, sessions.c.id == session_messages.c.session_id)
    .where(_OWNED)
    .order_by(session_messages.c.position)
)
_COPY_MESSAGES = insert(session_messages).from_select(
    session_messages.c.keys(),
    select(
        bindparam("new_id"),
        *(column for column in session_messages.c if column.name != "session_id"),
    ).where(session_messages.c.session_id == bindparam("of_id")),
)
_INSERT_TAGS = insert(session_tags)
_DELETE_TAGS = delete(session_tags).where(session_tags.c.session_id == bindparam("of_id"))


class SessionRows:
    """Rows of the tables of sessions, inside the transaction of the caller."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._counts = SessionCounts(connection)

    def record(self, turn: TurnRecord) -> Recorded | None:
        """See `Sessions.record`."""
        prompt = turn.prompt
        whole = (*prompt.messages, turn.reply)
        if turn.session_id is None:
            place = self._holding(turn)
            if place is None:
                return self._insert(turn, secrets.token_hex(16), whole)
            return self._append(turn, place, (*prompt.new, turn.reply))
        if turn.stored_messages == 0:
            return self._insert(turn, turn.session_id, whole)
        place = self._one(_SELECT_PLACE, _owned(turn.session_id, turn.owner))
        if place is None or place["message_count"] != turn.stored_messages:
            return None
        return self._append(turn, place, whole[turn.stored_messages :])

    def end(self, session_id: str, owner: str, status: EndStatus, error: str | None) -> bool:
        """See `Sessions.end`."""
        place = self._one(_SELECT_PLACE, _owned(session_id, owner))
        if place is None:
            return False
        self._counts.move(place, place["backend"], status)
        error = None if error is None else valid_text(error)
        self._connection.execute(_UPDATE, {"of_id": session_id, "status": status, "error": error})
        return True

    def get(self, session_id: str, owner: str | None) -> StoredSession | None:
        """See `Sessions.get`."""
        row = self._one(_SELECT, _owned(session_id, owner))
        return None if row is None else session_of(row)

    def history(self, session_id: str, owner: str | None) -> StoredHistory | None:
        """See `Sessions.history`."""
        row = self._one(_SELECT_WHOLE, _owned(session_id, owner))
        if row is None:
            return None
        session = session_of(row)
        stored = self.messages(session_id, owner)
        whole = len(stored) == session.message_count
        return StoredHistory(
            session=session,
            binding=None if row["binding"] is None else from_json(row["binding"]),
            messages=tuple(each.message for each in stored) if whole else None,
        )

    def messages(self, session_id: str, owner: str | None) -> tuple[StoredMessage, ...]:
        """See `Sessions.messages`."""
        if not _ID.fullmatch(session_id):
            return ()
        rows = self._connection.execute(_SELECT_MESSAGES, _owned(session_id, owner))
        return tuple(stored_message(row) for row in rows.mappings())

    def find(self, prefix: str, owner: str | None) -> tuple[StoredSession | None, int]:
        """See `Sessions.find`."""
        if not _ID.fullmatch(prefix):
            return None, 0
        bounds = {"first": prefix, "behind": prefix + "g", **_owner(owner)}
        rows = self._connection.execute(_SELECT_BEGINNING, bounds).mappings().all()
        if len(rows) == 1:
            return session_of(rows[0]), 1
        number = self._connection.execute(_COUNT_BEGINNING, bounds).scalar_one() if rows else 0
        return None, number

    def list(self, query: SessionQuery) -> SessionPage:
        """See `Sessions.list`; of a query without a text."""
        where = conditions(query)
        page = (
            select(*SUMMARY)
            .where(*where)
            .order_by(*NEWEST_FIRST)
            .limit(query.limit)
            .offset(query.offset)
        )
        rows = self._connection.execute(page).mappings()
        found = tuple(session_of(row) for row in rows)
        total = self._counts.total(query)
        if total is None:
            number = select(func.count()).select_from(sessions).where(*where)
            total = self._connection.execute(number).scalar_one()
        return SessionPage(found, total)

    def search(self, query: SessionQuery, text: str, after: Place | None) -> Slice:
        """See `session_search.search`."""
        return search(self._connection, query, text, after)

    def named(self, ids: Sequence[str]) -> tuple[StoredSession, ...]:
        """See `session_search.named`."""
        return named(self._connection, ids)

    def count(self, owner: str | None) -> int:
        """See `Sessions.count`."""
        return self._counts.total(SessionQuery(owner=owner)) or 0

    def update(
        self, session_id: str, owner: str | None, title: str | None, tags: tuple[str, ...] | None
    ) -> StoredSession | None:
        """See `Sessions.update`."""
        if self._one(_SELECT_PLACE, _owned(session_id, owner)) is None:
            return None
        values: dict[str, Any] = {}
        if title is not None:
            values["title"] = valid_text(title) or None
        if tags is not None:
            tags = tuple(dict.fromkeys(tags))
            values["tags"] = to_json(tags)
            self._connection.execute(_DELETE_TAGS, {"of_id": session_id})
            self._insert_tags(session_id, tags)
        if values:
            self._connection.execute(_UPDATE, {"of_id": session_id, **values})
        return self.get(session_id, owner)

    def delete(self, session_id: str, owner: str | None) -> bool:
        """See `Sessions.delete`."""
        place = self._one(_SELECT_PLACE, _owned(session_id, owner))
        if place is None:
            return False
        self._delete(place)
        return True

    def fork(
        self, session_id: str, owner: str | None, new_id: str, new_owner: str, now: float
    ) -> StoredSession | None:
        """See `Sessions.fork`."""
        whole = select(sessions).where(_OWNED)
        row = self._one(whole, _owned(session_id, owner))
        if row is None:
            return None
        values = {
            **row,
            **usage_values(None),
            "id": new_id,
            "owner": new_owner,
            "parent_id": session_id,
            "created_at": now,
            "updated_at": now,
            "turn_count": 0,
            "cost_usd": None,
        }
        self._connection.execute(_INSERT, values)
        self._connection.execute(_COPY_MESSAGES, {"new_id": new_id, "of_id": session_id})
        self._insert_tags(new_id, tuple(from_json(row["tags"])))
        self._counts.add(new_owner, row["backend"], row["status"], 1)
        return self.get(new_id, new_owner)

    def prune(self, older_than: float, most: int, spared: frozenset[str]) -> int:
        """See `Sessions.prune`."""
        values = {"older_than": older_than, "most": most, "spared": list(spared)}
        places = self._connection.execute(_SELECT_UNUSED, values).mappings().all()
        for place in places:
            self._delete(place)
        return len(places)

    def _holding(self, turn: TurnRecord) -> RowMapping | None:
        """The session that holds exactly what came before the new messages of a turn."""
        history = turn.prompt.history
        if not history:
            return None
        values = {
            "of_head": head_digest(history),
            "of_owner": turn.prompt.client,
            "of_backend": turn.prompt.backend,
            "busy": list(turn.busy),
        }
        return self._connection.execute(_SELECT_HOLDING, values).mappings().one_or_none()

    def _insert(self, turn: TurnRecord, session_id: str, messages: tuple[Message, ...]) -> Recorded:
        prompt = turn.prompt
        tags = tuple(dict.fromkeys(turn.tags))
        values = {
            "id": session_id,
            "owner": turn.owner,
            "title": title_of(messages) if turn.content else None,
            "created_at": turn.ended_at,
            "turn_count": 1,
            "message_count": len(messages),
            "tags": to_json(tags),
            "metadata": to_json(turn.metadata or {}),
            "head_digest": head_digest(messages),
            "cost_usd": turn.cost_usd,
            **usage_values(turn.usage),
            **_state(turn),
        }
        self._connection.execute(_INSERT, values)
        self._counts.add(turn.owner, prompt.backend, "completed", 1)
        self._insert_tags(session_id, tags)
        self._insert_messages(turn, session_id, 0, messages)
        return Recorded(session_id, len(messages), created=True)

    def _append(
        self, turn: TurnRecord, place: RowMapping, messages: tuple[Message, ...]
    ) -> Recorded:
        session_id, number = place["id"], place["message_count"]
        values = {
            "of_id": session_id,
            "more_cost": turn.cost_usd,
            **{f"more_{name}": value for name, value in usage_values(turn.usage).items()},
            "message_count": number + len(messages),
            "head_digest": head_digest(messages, after=place["head_digest"]),
            **_state(turn),
        }
        if turn.metadata is not None:
            values["metadata"] = to_json(turn.metadata)
        self._connection.execute(_ADD_TURN, values)
        self._counts.move(place, turn.prompt.backend, "completed")
        self._insert_messages(turn, session_id, number, messages)
        return Recorded(session_id, number + len(messages))

    def _insert_messages(
        self, turn: TurnRecord, session_id: str, position: int, messages: tuple[Message, ...]
    ) -> None:
        if not turn.content:
            return
        rows = [
            {
                "session_id": session_id,
                "position": position + index,
                "created_at": turn.ended_at,
                **message_values(message, turn.usage if message is turn.reply else None),
            }
            for index, message in enumerate(messages)
        ]
        self._connection.execute(_INSERT_MESSAGES, rows)

    def _insert_tags(self, session_id: str, tags: tuple[str, ...]) -> None:
        if tags:
            rows = [{"session_id": session_id, "tag": valid_text(tag)} for tag in tags]
            self._connection.execute(_INSERT_TAGS, rows)

    def _delete(self, place: RowMapping) -> None:
        self._connection.execute(_DELETE, {"of_id": place["id"]})
        self._counts.add(place["owner"], place["backend"], place["status"], -1)

    def _one(self, statement: Any, values: dict[str, Any]) -> RowMapping | None:
        if not _ID.fullmatch(values["of_id"]):
            return None  # databases refuse some texts
        return self._connection.execute(statement, values).mappings().one_or_none()


def _owned(session_id: str, owner: str | None) -> dict[str, Any]:
    return {"of_id": session_id, **_owner(owner)}


def _owner(owner: str | None) -> dict[str, Any]:
    return {"anybody": owner is None, "of_owner": owner or ""}


def _state(turn: TurnRecord) -> dict[str, Any]:
    """What every turn sets anew in its session."""
    prompt = turn.prompt
    name = turn.agent_session_id
    return {
        "backend": prompt.backend,
        "model": prompt.model,
        "workdir": None if prompt.workdir is None else valid_text(str(prompt.workdir)),
        "status": "completed",
        "error": None,
        "updated_at": turn.ended_at,
        "agent_session_id": None if name is None else valid_text(name),
        "binding": to_json(encode_binding(prompt)) if turn.content else None,
    }
