"""Stored sessions: every conversation of every dialect, turn by turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..events import Usage
from ..prompt import Message, Prompt, Role
from .canonical import JsonObject

if TYPE_CHECKING:
    from .session_search import Place, Slice
    from .worker import Worker

SessionStatus: TypeAlias = Literal["active", "completed", "error", "canceled"]
"""How the last turn ended; ``active`` as long as one runs that named the session."""

EndStatus: TypeAlias = Literal["completed", "error", "canceled"]
"""What of it is stored: whether a turn runs is known to the daemon alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """What is told of a session without its content.

    Attributes:
        id: 32 hexadecimal digits.
        owner: name of the API key that made it; nobody else sees it.
        backend: name of the backend that answered last.
        model: as the last prompt named it, or None.
        workdir: absolute path, or None for a private empty directory.
        title: the beginning of the first prompt, until somebody gives another; or None.
        status: of its last turn.
        error: why the last turn failed, or None.
        created_at: seconds since the epoch.
        updated_at: end of its last turn, likewise.
        turn_count: completed turns that were recorded in it.
        message_count: messages of its history, also when their content is not stored.
        usage: tokens of all its turns.
        cost_usd: what the agents said its turns cost; None when none of them did.
        agent_session_id: the agent's own id of the conversation at the last turn, or None.
        parent_id: the session it was forked from, or None.
        tags: without repetition, in the order in which they were given.
        metadata: what the caller wants kept with it.
    """

    id: str
    owner: str
    backend: str
    model: str | None = None
    workdir: str | None = None
    title: str | None = None
    status: SessionStatus
    error: str | None = None
    created_at: float
    updated_at: float
    turn_count: int
    message_count: int
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    agent_session_id: str | None = None
    parent_id: str | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """One message of a session as it was stored.

    Attributes:
        position: its place in the history, from 0.
        created_at: end of the turn that brought it, seconds since the epoch.
        usage: tokens of the turn whose answer it is; None for all other messages.
    """

    position: int
    message: Message
    created_at: float
    usage: Usage | None = None

    @property
    def role(self) -> Role:
        """Whose it is."""
        return self.message.role


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHistory:
    """All that is needed to continue a session.

    Attributes:
        session: what is told of it.
        binding: the rest of its last prompt, from `encode_binding`; None when no content is stored.
        messages: the whole history; None when not all of its content is stored.
    """

    session: StoredSession
    binding: JsonObject | None
    messages: tuple[Message, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRecord:
    """A completed turn, to be recorded in one session.

    Attributes:
        prompt: what was asked, the whole history included; its client becomes the owner.
        reply: the answer as the caller got it.
        ended_at: seconds since the epoch.
        session_id: where it belongs; None: to the session that holds exactly the prompt's history,
            else to a new one.
        session_owner: whose that session is, if it is not the client's of the prompt.
        stored_messages: how many messages of that session are stored already; 0 makes it anew.
        metadata: replaces the session's; None keeps what there is.
        tags: of a new session.
        busy: ids of sessions that are not to be found by their history, because a turn that named
            them runs.
        content: whether messages, system prompt and tools are stored, or only that they were.
        agent_session_id: the agent's own id of the conversation, or None.
    """

    prompt: Prompt
    reply: Message
    ended_at: float
    session_id: str | None = None
    session_owner: str | None = None
    stored_messages: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    agent_session_id: str | None = None
    metadata: dict[str, str] | None = None
    tags: tuple[str, ...] = ()
    busy: frozenset[str] = frozenset()
    content: bool = True

    @property
    def owner(self) -> str:
        """Whose the session is."""
        return self.prompt.client if self.session_owner is None else self.session_owner


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where a turn was recorded.

    Attributes:
        message_count: how many messages the session has now.
        created: whether the session was begun for it.
    """

    session_id: str
    message_count: int
    created: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionQuery:
    """Which sessions to list; a filter that is None lets all pass.

    Attributes:
        owner: only this one's; None for everybody's.
        tag: one of its tags, exactly.
        workdir: its working directory, exactly.
        q: a text that occurs in the title or in a message, in any case of ASCII letters.
        running: ids of the sessions that count as ``active``.
        limit: most sessions to give.
        offset: how many of those found to pass over.
    """

    owner: str | None
    backend: str | None = None
    status: SessionStatus | None = None
    tag: str | None = None
    workdir: str | None = None
    q: str | None = None
    running: frozenset[str] = frozenset()
    limit: int = 100
    offset: int = 0


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Sessions, last used first, and how many were found in all."""

    sessions: tuple[StoredSession, ...]
    total: int


class Sessions:
    """All stored sessions.

    Every method may raise `StoreUnavailable`; then nothing of the call has been kept.
    When a writing method returns, what it wrote survives the end of the process, however it ends.
    `owner` is whose session it has to be; None stands for anybody's.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def record(self, turn: TurnRecord) -> Recorded | None:
        """Add a turn to its session, as a whole or not at all.

        Only what the session does not have yet is written, so a turn costs what is new in it.

        Returns:
            None when the session it names is gone, or has meanwhile got other messages: then
            nothing was recorded.
        """
        return await self._worker.write(lambda database: database.sessions.record(turn))

    async def end(
        self, session_id: str, owner: str, status: EndStatus, error: str | None = None
    ) -> bool:
        """Note how a turn ended that added nothing; False when there is no such session."""
        return await self._worker.write(
            lambda database: database.sessions.end(session_id, owner, status, error)
        )

    async def get(self, session_id: str, owner: str | None) -> StoredSession | None:
        """The session of that full id, or None."""
        return await self._worker.read(lambda database: database.sessions.get(session_id, owner))

    async def history(self, session_id: str, owner: str | None) -> StoredHistory | None:
        """All that is needed to continue the session of that full id, or None."""
        return await self._worker.read(
            lambda database: database.sessions.history(session_id, owner)
        )

    async def messages(self, session_id: str, owner: str | None) -> tuple[StoredMessage, ...]:
        """The stored messages of a session, in their order; none when there is no such session."""
        return await self._worker.read(
            lambda database: database.sessions.messages(session_id, owner)
        )

    async def find(self, prefix: str, owner: str | None) -> tuple[StoredSession | None, int]:
        """The session whose id begins so, if there is one and only one, and how many there are."""
        return await self._worker.read(lambda database: database.sessions.find(prefix, owner))

    async def list(self, query: SessionQuery) -> SessionPage:
        """A page of sessions, last used first.

        For a text they are looked through slice by slice, with time for other calls between: a
        session that is used or deleted meanwhile may be missing.
        """
        if query.q is None:
            return await self._worker.read(lambda database: database.sessions.list(query))
        return await self._search(query, query.q)

    async def count(self, owner: str | None = None) -> int:
        """How many there are."""
        return await self._worker.read(lambda database: database.sessions.count(owner))

    async def update(
        self,
        session_id: str,
        owner: str | None,
        *,
        title: str | None = None,
        tags: tuple[str, ...] | None = None,
    ) -> StoredSession | None:
        """Change a title (empty takes it away) or all tags; None keeps what there is.

        Returns:
            The session as it is now, or None when there is no such session.
        """
        return await self._worker.write(
            lambda database: database.sessions.update(session_id, owner, title, tags)
        )

    async def delete(self, session_id: str, owner: str | None) -> bool:
        """Forget a session and its messages; False when there is no such session."""
        return await self._worker.erase(
            lambda database: database.sessions.delete(session_id, owner)
        )

    async def fork(
        self, session_id: str, owner: str | None, *, new_id: str, new_owner: str, now: float
    ) -> StoredSession | None:
        """Copy a session, its messages included, under a new id.

        Returns:
            The copy, which has no turns of its own yet; None when there is no such session.
        """
        return await self._worker.write(
            lambda database: database.sessions.fork(session_id, owner, new_id, new_owner, now)
        )

    async def prune(
        self, older_than: float, most: int, spared: frozenset[str] = frozenset()
    ) -> int:
        """Forget up to `most` sessions last used before `older_than` (seconds since the epoch),
        the longest unused first, but none of those with a `spared` id; how many."""
        return await self._worker.erase(
            lambda database: database.sessions.prune(older_than, most, spared)
        )

    async def _search(self, query: SessionQuery, text: str) -> SessionPage:
        ids: list[str] = []
        total = 0
        after: Place | None = None
        while True:
            part = await self._part(query, text, after)
            first, behind = query.offset - total, query.offset + query.limit - total
            ids += part.found[max(first, 0) : max(behind, 0)]
            total += len(part.found)
            if (after := part.last) is None:
                break
        found = await self._worker.read(lambda database: database.sessions.named(ids))
        return SessionPage(found, total)

    async def _part(self, query: SessionQuery, text: str, after: Place | None) -> Slice:
        return await self._worker.read(
            lambda database: database.sessions.search(query, text, after)
        )
