"""Sees to it that a completed turn is recorded before its caller is told of the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from .config import SessionSettings
from .events import Usage
from .pool import Background, Turn
from .prompt import Prompt
from .sessions import Keeping, Session, SessionStore
from .store import TurnRecord
from .structured import StructuredTurn


class Recorder:
    """Records turns in sessions.

    Args:
        sessions: where they are recorded.
        settings: gives the configuration in force.
        background: runs what must not end with the request.
    """

    def __init__(
        self,
        sessions: SessionStore,
        settings: Callable[[], SessionSettings],
        background: Background,
    ) -> None:
        self._sessions = sessions
        self._settings = settings
        self._background = background

    @contextmanager
    def recording(
        self, prompt: Prompt, keeping: Keeping
    ) -> Iterator[Callable[[Turn | StructuredTurn], None]]:
        """Record the turn of `prompt` that runs inside; an ephemeral one is not recorded.

        Gives what the turn has to be told to once it has begun.

        Raises:
            Conflict: another turn of the same session is still running.
        """
        if prompt.ephemeral:
            yield lambda _: None
            return
        unrecorded: list[Turn | StructuredTurn] = []
        with ExitStack() as occupied:
            if keeping.before is not None:
                occupied.enter_context(self._sessions.occupied(keeping.before))

            def watch(turn: Turn | StructuredTurn) -> None:
                unrecorded.append(turn)
                turn.before_end.append(lambda: record(turn))

            def record(turn: Turn | StructuredTurn) -> asyncio.Task[None]:
                unrecorded.remove(turn)
                # A caller who leaves now must not leave the session open to another turn too early.
                keep = self._keep(turn, keeping, occupied.pop_all())
                return self._background.start(keep, "record a turn")

            try:
                yield watch
            finally:
                for turn in unrecorded.copy():
                    if turn.completed is not None:  # who left has taken all but the end
                        record(turn)
                    elif keeping.before is not None:
                        self._note_end(keeping.before, turn)

    async def _keep(
        self, turn: Turn | StructuredTurn, keeping: Keeping, occupied: ExitStack
    ) -> None:
        completed = turn.completed
        assert completed is not None
        with occupied:
            record = TurnRecord(
                prompt=turn.prompt,
                reply=turn.reply,
                ended_at=time.time(),
                usage=completed.usage if self._settings().store_token_usage else Usage(),
                cost_usd=completed.cost_usd,
                agent_session_id=turn.agent_session_id,
            )
            await self._sessions.record(record, keeping)

    def _note_end(self, session: Session, turn: Turn | StructuredTurn) -> None:
        failure = turn.failure
        if failure is None:
            end = self._sessions.note_end(session, "canceled", None)
        else:
            # Agents repeat in their errors what they were told.
            words = self._settings().store_content
            end = self._sessions.note_end(
                session, "error", failure.message if words else failure.code
            )
        self._background.start(end, "note the end of a turn")
