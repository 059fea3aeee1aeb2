"""Bodies and parameters of the routes of sessions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...attribute_docs import described
from ...prompt import Audio, Block, Document, Image, Text, Thinking, ToolResult, ToolUse
from ...sessions import MOST_TAGS, TAG_LENGTH, TITLE_LENGTH
from ...store import StoredMessage, StoredSession
from .models import Body, usage_content

_Tag = Annotated[str, Field(min_length=1, max_length=TAG_LENGTH)]


class Query(BaseModel):
    """Query parameters: a misspelled one is an error and no filter that was forgotten."""

    model_config = ConfigDict(extra="forbid", defer_build=True, json_schema_extra=described)

    api_key: str | None = None
    """The API key of a caller that cannot send headers."""


class Page(Query):
    """Which part of a list is wanted."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    """Most entries."""

    offset: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Entries to leave out."""


class SessionsQuery(Page):
    """Which sessions are wanted; all conditions must hold."""

    backend: str | None = None
    """The backend that answered last."""

    status: Literal["active", "completed", "error", "canceled"] | None = None
    """How the last turn ended; ``active`` while one runs."""

    tag: str | None = None
    """A tag it has."""

    workdir: str | None = None
    """The directory it works in, as its `working_dir` names it."""

    q: Annotated[str | None, Field(max_length=1000)] = None
    """Text that its title or one of its messages holds."""


class SessionQuery(Query):
    """How much of a session is wanted."""

    include: Literal["messages"] | None = None
    """``messages``: its history, too."""


class SessionPatch(Body):
    """What changes of a session; what is left out stays."""

    title: Annotated[str, Field(max_length=TITLE_LENGTH)] | None = None
    """One line; empty for none."""

    tags: Annotated[list[_Tag], Field(max_length=MOST_TAGS)] | None = None
    """All its tags, each one line."""


class SessionAnswer(Body):
    """One session; members without a value are left out."""

    id: str
    backend: str
    created_at: str
    last_used: str
    status: str
    error: str | None = None
    title: str | None = None
    model: str | None = None
    working_dir: str | None = None
    turn_count: int
    message_count: int
    token_usage: dict[str, int] | None = None
    cost_usd: float | None = None
    tags: list[str] | None = None
    metadata: dict[str, str] | None = None
    parent_id: str | None = None
    backend_session_id: str | None = None
    key: str | None = None
    """Name of the API key it belongs to."""
    messages: list[dict[str, Any]] | None = None
    """Its history, if it was asked for and is stored."""


class SessionsAnswer(Body):
    """A page of sessions, the last used first."""

    sessions: list[SessionAnswer]
    total: int
    """Without the limit."""
    limit: int
    offset: int


class DeletedAnswer(Body):
    """What was deleted."""

    deleted: Literal[True] = True
    id: str


def session_answer(
    session: StoredSession, messages: tuple[StoredMessage, ...] | None = None
) -> SessionAnswer:
    """A session as the native API tells it."""
    return SessionAnswer(
        id=session.id,
        backend=session.backend,
        created_at=timestamp(session.created_at),
        last_used=timestamp(session.updated_at),
        status=session.status,
        error=session.error,
        title=session.title,
        model=session.model,
        working_dir=session.workdir,
        turn_count=session.turn_count,
        message_count=session.message_count,
        token_usage=usage_content(session.usage),
        cost_usd=session.cost_usd,
        tags=list(session.tags) or None,
        metadata=session.metadata or None,
        parent_id=session.parent_id,
        backend_session_id=session.agent_session_id,
        key=session.owner or None,
        messages=None if messages is None else [_message(message) for message in messages],
    )


def timestamp(seconds: float) -> str:
    """RFC 3339, in UTC, with milliseconds."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(stored: StoredMessage) -> dict[str, Any]:
    return {
        "role": stored.role,
        "created_at": timestamp(stored.created_at),
        "content": [_block(block) for block in stored.message.content],
        **({"token_usage": usage_content(stored.usage)} if stored.usage else {}),
    }


def _block(block: Block) -> dict[str, Any]:
    match block:
        case Text(text):
            return {"type": "text", "text": text}
        case Thinking(text=text):
            return {"type": "thinking", "text": text}
        case Image(media_type, data):
            return {"type": "image", "media_type": media_type, "data": data}
        case Audio(media_type, data):
            return {"type": "audio", "media_type": media_type, "data": data}
        case Document(media_type, data, title):
            about = {"title": title} if title else {}
            return {"type": "document", "media_type": media_type, "data": data, **about}
        case ToolUse(id, name, arguments):
            return {"type": "tool_use", "id": id, "name": name, "input": arguments}
        case ToolResult(tool_use_id, content, is_error):
            parts = [_block(part) for part in content]
            failed = {"is_error": True} if is_error else {}
            return {"type": "tool_result", "tool_use_id": tool_use_id, "content": parts, **failed}
