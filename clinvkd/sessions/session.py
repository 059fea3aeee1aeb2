"""A session as those see it who go on with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..prompt import Message, Prompt
from ..store import TurnRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A conversation with all that is needed to go on with it.

    Attributes:
        id: 32 hexadecimal digits.
        owner: name of the client it belongs to.
        prompt: the last prompt of it, with all earlier messages.
        messages: the canonical history, the last answer included.
        agent_session_id: the agent's own id of the last turn, or None.
        metadata: what the caller wants kept with it.
        stored_messages: how many of the messages the store knows of; all, unless it has failed.
    """

    id: str
    owner: str
    prompt: Prompt
    messages: tuple[Message, ...]
    agent_session_id: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    stored_messages: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Where a completed turn is kept.

    Attributes:
        session_id: in the session of this id; None: in the one that holds exactly the prompt's
            history, else in a new one.
        before: that session as it is; None makes it.
        metadata: replaces the session's; None keeps what there is.
        tags: of a session that is made, in addition to the configured ones.
    """

    session_id: str | None = None
    before: Session | None = None
    metadata: Mapping[str, str] | None = None
    tags: tuple[str, ...] = ()


def grown(turn: TurnRecord, before: Session | None, stored: int) -> Session:
    """A session after a turn."""
    assert turn.session_id is not None
    metadata = turn.metadata
    if metadata is None:
        metadata = {} if before is None else before.metadata
    return Session(
        id=turn.session_id,
        owner=turn.owner,
        prompt=turn.prompt,
        messages=(*turn.prompt.messages, turn.reply),
        agent_session_id=turn.agent_session_id,
        metadata=metadata,
        stored_messages=stored,
    )
