"""One prompt as an operation of the native API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ...engine import AnyTurn, Engine
from ...events import Event, Opened
from ...intake import Approved
from ...keys import Caller
from ...sessions import Keeping, SessionStore
from .answers import answer_of
from .encoder import NativeEncoder, Writing
from .models import PromptAnswer, Prompting, PromptRequest
from .operation import Operation, Ready, Running
from .rehearsal import rehearse


@dataclass(frozen=True, slots=True)
class Checked:
    """A prompt that may run, and where its turn is kept.

    Attributes:
        ignored: names of what was asked and cannot be honoured.
        session_id: the session the caller can continue, or None.
    """

    approved: Approved
    ignored: tuple[str, ...]
    keeping: Keeping
    session_id: str | None


async def check(engine: Engine, caller: Caller, body: Prompting) -> Checked:
    """Check one prompt; nothing runs yet.

    Raises:
        InvalidRequest, Forbidden, NotFound: with the field at fault.
    """
    session = None
    if body.session_id:
        session = await engine.sessions.get(body.session_id, caller.sees)
    approved = await engine.approve(body.asked(session), caller)
    keeping = Keeping(
        session_id=session.id if session else SessionStore.new_id(),
        before=session,
        metadata=body.metadata or None,
    )
    kept = None if approved.prompt.ephemeral else keeping.session_id
    ignored = (*approved.ignored, *(("verbose",) if body.verbose else ()))
    return Checked(approved, ignored, keeping, kept)


async def prepare(engine: Engine, caller: Caller, body: PromptRequest) -> Ready:
    """See `Operation`."""
    checked = await check(engine, caller, body)
    prompt = checked.approved.prompt

    @asynccontextmanager
    async def run(content_type: str) -> AsyncIterator[Running[list[Event]]]:
        async with engine.turn(prompt, checked.keeping) as turn:
            watched = _Watched(turn)
            encoder = NativeEncoder(
                prompt, lambda: turn.seconds, checked.session_id, Writing(content_type)
            )
            yield Running(watched.batches(), encoder, lambda: watched.answer(checked.session_id))

    return Ready(
        run,
        lambda: rehearse(engine.pool(prompt.backend), prompt),
        checked.ignored,
        asks="approval_mode" if prompt.permissions.asks else None,
    )


PROMPT = Operation("prompt", PromptRequest, prepare)


class _Watched:
    """A turn whose whole answer will be asked for."""

    def __init__(self, turn: AnyTurn) -> None:
        self._turn = turn
        self._model: str | None = None

    async def batches(self) -> AsyncIterator[list[Event]]:
        async for events in self._turn:
            for event in events:
                if type(event) is Opened and event.model is not None:
                    self._model = event.model
            yield events

    def answer(self, session_id: str | None) -> PromptAnswer:
        turn = self._turn
        return answer_of(
            turn.prompt,
            turn.reply,
            turn.completed,
            seconds=turn.seconds,
            model=self._model,
            session_id=session_id,
            agent_session_id=turn.agent_session_id,
        )
