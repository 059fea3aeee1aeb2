"""The door to the sessions: what is held in memory, before what is stored."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import structlog

from ..config import SessionSettings
from ..errors import Conflict, InvalidRequest, NotFound, StoreUnavailable
from ..store import (
    EndStatus,
    SessionPage,
    SessionQuery,
    Store,
    StoredMessage,
    StoredSession,
    TurnRecord,
    decode_binding,
)
from .checks import check_page, check_tags, check_title, status_of
from .held import HeldSessions
from .session import Keeping, Session, grown

_log = structlog.get_logger(__name__)


class SessionStore:
    """All sessions of the daemon, as callers may see them.

    `owner` is the client whose sessions are there for who asks, None for those of all clients.
    Whatever has to ask the database may raise `StoreUnavailable`.

    Args:
        store: gives the store.
        settings: gives the configuration in force.
        held: those in memory; None for none so far, within the usual bounds.

    Attributes:
        created: how many sessions were begun since the daemon started.
    """

    def __init__(
        self,
        store: Callable[[], Store],
        settings: Callable[[], SessionSettings],
        held: HeldSessions | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._held = HeldSessions() if held is None else held
        self._running: set[str] = set()
        self.created = 0

    @staticmethod
    def new_id() -> str:
        """An id nobody can guess."""
        return secrets.token_hex(16)

    @property
    def running(self) -> frozenset[str]:
        """Ids of the sessions in which a turn runs that named them."""
        return frozenset(self._running)

    # Going on with a session.

    async def get(self, session_id: str, owner: str | None) -> Session:
        """The session of that full id, to go on with it. It stays its owner's.

        Raises:
            NotFound: there is none, or nobody holds its messages.
        """
        if (held := self._held.use(session_id, owner)) is not None:
            return held
        history = await self._store().sessions.history(session_id, owner)
        if history is None:
            raise _no_session()
        if history.messages is None or history.binding is None:
            raise NotFound(
                "the messages of this session are not stored (session.store_content is off) and"
                " no longer in memory; begin a new one",
                param="session_id",
            )
        prompt = decode_binding(history.binding, history.messages[:-1])
        session = Session(
            id=session_id,
            owner=history.session.owner,
            prompt=replace(prompt, client=history.session.owner),
            messages=history.messages,
            agent_session_id=history.session.agent_session_id,
            metadata=history.session.metadata,
            stored_messages=len(history.messages),
        )
        self._held.put(session)
        return session

    @contextmanager
    def occupied(self, session: Session) -> Iterator[None]:
        """A turn runs in the session: no other one may begin meanwhile.

        Raises:
            Conflict: one does already, or one has ended since the session was got.
        """
        if session.id in self._running:
            raise Conflict(
                "a turn of this session is still running; wait for its end, or fork the session",
                param="session_id",
            )
        held = self._held.peek(session.id)
        if held is not None and len(held.messages) != len(session.messages):
            raise Conflict("another turn of this session has just ended", param="session_id")
        self._running.add(session.id)
        try:
            yield
        finally:
            self._running.discard(session.id)

    async def record(self, turn: TurnRecord, keeping: Keeping) -> None:
        """Record a completed turn.

        A store that fails costs a turn nothing: a session of a known id is then held in memory,
        and what it lacks is stored with its next turn.

        Args:
            turn: what happened; where it belongs is completed from `keeping`.
        """
        before = keeping.before
        settings = self._settings()
        complete = replace(
            turn,
            session_id=keeping.session_id,
            session_owner=None if before is None else before.owner,
            stored_messages=0 if before is None else before.stored_messages,
            metadata=None if keeping.metadata is None else dict(keeping.metadata),
            tags=(*settings.default_tags, *keeping.tags),
            content=settings.store_content,
            busy=self.running,
        )
        try:
            recorded = await self._store().sessions.record(complete)
        except StoreUnavailable:
            # The store has logged why, and /health tells it.
            if keeping.session_id is not None:
                self._held.put(grown(complete, before, complete.stored_messages))
            return
        self.created += recorded is not None and recorded.created
        if recorded is None:
            assert keeping.session_id is not None
            self._held.drop(keeping.session_id)
            _log.warning(
                "turn not recorded: its session was deleted, or continued by another process",
                session_id=keeping.session_id,
            )
        elif keeping.session_id is not None:
            self._held.put(grown(complete, before, recorded.message_count))
        elif (held := self._held.peek(recorded.session_id)) is not None:
            messages = (*held.messages, *turn.prompt.new, turn.reply)
            self._held.put(replace(held, messages=messages, stored_messages=recorded.message_count))

    async def note_end(self, session: Session, status: EndStatus, error: str | None) -> None:
        """Note that a turn in the session ended without an answer; its history stays as it was."""
        with suppress(StoreUnavailable):  # the store has logged why, and /health tells it
            await self._store().sessions.end(session.id, session.owner, status, error)

    # Looking at sessions, and changing them.

    async def look_up(self, prefix: str, owner: str | None) -> StoredSession:
        """The session of that id, or the only one whose id begins so.

        Raises:
            NotFound: there is none.
            InvalidRequest: there are several.
        """
        session, number = await self._store().sessions.find(prefix, owner)
        if session is not None:
            return self._as_it_is(session)
        if number:
            raise InvalidRequest(
                f"{number} sessions begin with {prefix!r}; give more of the id", param="session_id"
            )
        raise _no_session()

    async def messages(
        self, session_id: str, owner: str | None
    ) -> tuple[StoredMessage, ...] | None:
        """The messages of the session of that full id; None when nobody holds them.

        Raises:
            NotFound: there is no such session.
        """
        session = await self._store().sessions.get(session_id, owner)
        if session is None:
            raise _no_session()
        stored = await self._store().sessions.messages(session_id, owner)
        if len(stored) == session.message_count:
            return stored
        held = self._held.peek(session_id)
        if held is None:
            return None
        return tuple(
            StoredMessage(position=position, message=message, created_at=session.updated_at)
            for position, message in enumerate(held.messages)
        )

    async def list(
        self,
        owner: str | None,
        *,
        backend: str | None = None,
        status: str | None = None,
        tag: str | None = None,
        workdir: str | None = None,
        q: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> SessionPage:
        """A page of sessions, last used first; a filter that is None lets all pass.

        Args:
            q: a text that occurs in the title or in a message.
            limit: most sessions, 1 to 1000.
            offset: how many to pass over.

        Raises:
            InvalidRequest: naming the argument at fault.
        """
        check_page(limit, offset)
        page = await self._store().sessions.list(
            SessionQuery(
                owner=owner,
                backend=backend,
                status=None if status is None else status_of(status),
                tag=tag,
                workdir=workdir,
                q=q,
                running=self.running,
                limit=limit,
                offset=offset,
            )
        )
        return SessionPage(tuple(map(self._as_it_is, page.sessions)), page.total)

    async def count(self) -> int:
        """How many sessions there are, of all clients."""
        return await self._store().sessions.count()

    async def update(
        self,
        session_id: str,
        owner: str | None,
        *,
        title: str | None = None,
        tags: tuple[str, ...] | None = None,
    ) -> StoredSession:
        """Change title (an empty one takes it away) or tags; None keeps what there is.

        Raises:
            NotFound: there is no session of that full id.
            InvalidRequest: naming the field at fault.
        """
        check_title(title or "")
        check_tags(tags or ())
        session = await self._store().sessions.update(session_id, owner, title=title, tags=tags)
        if session is None:
            raise _no_session()
        return self._as_it_is(session)

    async def delete(self, session_id: str, owner: str | None) -> None:
        """Forget the session of that full id. What runs in it goes on, and is not recorded.

        Raises:
            NotFound: there is none.
        """
        if not await self._store().sessions.delete(session_id, owner):
            raise _no_session()
        self._held.drop(session_id)

    async def fork(self, session_id: str, owner: str | None, *, new_owner: str) -> StoredSession:
        """A copy of the session of that full id, which belongs to another client or the same.

        Raises:
            NotFound: there is none.
        """
        fork = await self._store().sessions.fork(
            session_id,
            owner,
            new_id=self.new_id(),
            new_owner=new_owner,
            now=time.time(),
        )
        if fork is None:
            raise _no_session()
        self.created += 1
        held = self._held.peek(session_id)
        if held is not None and len(held.messages) == fork.message_count:
            prompt = replace(held.prompt, client=new_owner)
            self._held.put(
                replace(
                    held,
                    id=fork.id,
                    owner=new_owner,
                    prompt=prompt,
                    stored_messages=fork.message_count,
                )
            )
        return fork

    def _as_it_is(self, session: StoredSession) -> StoredSession:
        return replace(session, status="active") if session.id in self._running else session


def _no_session() -> NotFound:
    return NotFound("there is no such session", param="session_id")
