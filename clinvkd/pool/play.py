"""Plays one exchange of a driver: fed by the agent's reader, drained by whoever waits.

The exchange is stepped inside the read callback, not in the task of the request. So a request
that goes away cannot lose its place, one read gives one list of events, and the waiter is woken
once per read however many lines it held.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any, Protocol

import structlog

from ..approvals import Relay
from ..drivers.base import (
    APPROVAL_DECIDED,
    AnswerTool,
    AskApproval,
    Exchange,
    Json,
    Receive,
    RunProgram,
    Send,
    ServeTools,
    WithdrawApproval,
    WriteFile,
)
from ..drivers.decoding import finite
from ..errors import BackendError, ClinvkError
from ..events import ApprovalDecision, Event, Request, ToolCall

_log = structlog.get_logger(__name__)


_EFFECTS = frozenset({WriteFile, RunProgram, ServeTools, AnswerTool, AskApproval, WithdrawApproval})
_CALLS = frozenset({ToolCall, Request})
_NOT_ONLY_TOLD = _EFFECTS | _CALLS

_DENIED = {
    "caller": "the user denied this action",
    "limit": "nobody answered in time whether this action is allowed, so it is denied",
}
"""What the agent is told by who denied, when the caller says nothing."""


class ToolDesk(Protocol):
    """Who serves the caller's tools to the agent; see `ServeTools` and `AnswerTool`."""

    def serve_tools(self, definitions: tuple[Json, ...]) -> Json:
        """Begin to serve; where."""

    def answer_tool(self, call: str, result: Json) -> None:
        """Give the agent a result."""


class Play:
    """One exchange being played.

    Args:
        exchange: what is played.
        write: sends one message to the agent.
        desk: serves tools; only exchanges of conversations need it.
        run: runs the agent's program with arguments; only handshakes need it.
        relay: asks whoever owns the turn; only turns need it. It is closed with the exchange.

    Attributes:
        ended: whether the exchange ran to its end, well or badly.
        error: what it failed with, or None.
        progress: `time.monotonic()` of the last message it was fed.
    """

    def __init__(
        self,
        exchange: Exchange[Any],
        write: Callable[[Json], None],
        desk: ToolDesk | None = None,
        run: Callable[[tuple[str, ...]], Coroutine[Any, Any, bytes | None]] | None = None,
        relay: Relay | None = None,
    ) -> None:
        self._exchange = exchange
        self._write = write
        self._desk = desk
        self._run = run
        self._relay = relay
        self._asking: asyncio.Task[bytes | None] | None = None
        self._events: list[Event] = []
        self._inbox: deque[Json] = deque()
        self._attending = False  # not before the start, nor while a file or a program is waited for
        self._discarding = False
        self._given_up: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._patience: asyncio.TimerHandle | None = None
        self.ended = False
        self.error: BaseException | None = None
        self.progress = time.monotonic()

    def start(self) -> None:
        """Run the exchange up to its first wait; what came before is given to it then."""
        self._go_on()

    def feed(self, message: Json) -> None:
        """Give it a message; what it makes of it is there when this returns."""
        self.progress = time.monotonic()
        if self.ended:
            return
        if self._attending:
            self._stop_waiting()
            self._step(message)
        else:
            self._inbox.append(message)

    def fail(self, error: BaseException) -> None:
        """End it from outside, e.g. because the process is gone."""
        if not self.ended:
            with suppress(Exception):
                self._exchange.close()
            self._end(error)

    def abandon(self) -> None:
        """Nobody reads the events or decides any more; the exchange goes on."""
        self._discarding = True
        self._events.clear()
        if self._relay is not None:
            self._relay.close()

    def give_up(self, error: BaseException) -> None:
        """Have `batch` raise `error` once the events before it are taken; the exchange goes on."""
        self._given_up = error
        self._wake()

    @property
    def backlog(self) -> int:
        """Events that nobody has taken yet."""
        return len(self._events)

    @property
    def asking(self) -> bool:
        """Whether the agent waits for somebody's decision."""
        return self._relay is not None and self._relay.waiting

    @property
    def waited(self) -> float:
        """Seconds so far in which the agent waited for somebody's decision."""
        return 0.0 if self._relay is None else self._relay.waited

    async def batch(self) -> list[Event]:
        """All events that have come, at least one; empty once the exchange has ended.

        Raises:
            ClinvkError: the exchange failed; only after every event before it was taken.
        """
        while not self._events:
            if self._given_up is not None:
                raise self._given_up
            if self.ended:
                if self.error is not None:
                    raise self.error
                return []
            await self._wait()
        events, self._events = self._events, []
        return events

    async def finish(self) -> None:
        """Wait for the end and throw the events away. Raises what the exchange failed with."""
        self.abandon()
        while not self.ended:
            await self._wait()
        if self.error is not None:
            raise self.error

    async def let_program_end(self) -> None:
        """Wait until no program runs for it; after its end that is soon."""
        if self._asking is not None:
            await asyncio.wait((self._asking,))

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _go_on(self, value: bytes | None = None) -> None:
        if not self.ended:
            self._attending = True
            self._step(value)

    def _step(self, value: Json | bytes | None) -> None:
        send = self._exchange.send
        try:
            while True:
                step = send(value)
                value = None
                if type(step) is Receive:
                    if not self._inbox:
                        self._wait_within(step.within)
                        break
                    value = self._inbox.popleft()
                elif type(step) is Send:
                    self._write(step.message)
                elif type(step) in _NOT_ONLY_TOLD:
                    value = self._have_done(step)
                    if not self._attending:
                        break
                elif not self._discarding:
                    self._events.append(step)  # type: ignore[arg-type]
        except StopIteration:
            self._end(None)
        except Exception as error:  # noqa: BLE001 - the last line of defence
            self._end(_as_failure(error))
        else:
            if self._events:
                self._wake()

    def _have_done(self, step: object) -> Json | None:
        """Do it now, and what to send the exchange; or begin it and attend to nothing else."""
        match step:
            case ToolCall() | Request() if self._discarding:
                pass
            case ToolCall() | Request():
                # Their input is the agent's, and all who are told write it as JSON.
                self._events.append(replace(step, input=finite(step.input)))
            case WriteFile():
                self._write_file(step)
            case RunProgram():
                self._run_program(step)
            case ServeTools(definitions):
                assert self._desk is not None
                return self._desk.serve_tools(definitions)
            case AnswerTool(call, result):
                assert self._desk is not None
                self._desk.answer_tool(call, result)
            case AskApproval():
                self._ask(step)
            case WithdrawApproval(question):
                assert self._relay is not None
                if (withdrawn := self._relay.withdraw(question)) is not None:
                    self._events.append(withdrawn)
        return None

    def _ask(self, step: AskApproval) -> None:
        assert self._relay is not None
        if self._discarding:  # there is nobody to ask any more
            self._inbox.append(_decided(step.question, allowed=False, message=_DENIED["limit"]))
            return

        def decided(decision: ApprovalDecision) -> None:
            self._events.append(decision)
            message = decision.message or _DENIED.get(decision.by, "")
            self.feed(_decided(step.question, allowed=decision.allowed, message=message))
            self._wake()

        action = replace(step.action, input=finite(step.action.input))
        self._events.append(self._relay.ask(step.question, action, decided))

    def _end(self, error: BaseException | None) -> None:
        self.ended = True
        self.error = error
        if self._relay is not None:
            self._relay.close()
        self._inbox.clear()
        self._stop_waiting()
        if self._asking is not None:
            self._asking.cancel()
        self._wake()

    def _wait_within(self, seconds: float | None) -> None:
        if seconds is not None:
            self._patience = asyncio.get_running_loop().call_later(seconds, self._step, None)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _write_file(self, step: WriteFile) -> None:
        self._attending = False
        future = asyncio.get_running_loop().run_in_executor(
            None, write_private, step.path, step.data
        )
        future.add_done_callback(self._file_written)

    def _run_program(self, step: RunProgram) -> None:
        assert self._run is not None
        self._attending = False
        self._asking = asyncio.get_running_loop().create_task(self._run(step.arguments))
        self._asking.add_done_callback(self._program_ended)

    def _program_ended(self, task: asyncio.Task[bytes | None]) -> None:
        if not task.cancelled():
            self._go_on(None if task.exception() else task.result())

    def _file_written(self, future: asyncio.Future[None]) -> None:
        if future.cancelled():
            return
        if (error := future.exception()) is not None:
            self.fail(BackendError(f"a private file for the agent could not be written: {error}"))
        else:
            self._go_on()


def _decided(question: str, *, allowed: bool, message: str) -> Json:
    params = {"question": question, "allowed": allowed, "message": message}
    return {"method": APPROVAL_DECIDED, "params": params}


def _as_failure(error: Exception) -> ClinvkError:
    """What an exchange failed with, for the caller."""
    if isinstance(error, ClinvkError):
        return error
    # The agent said something the driver did not expect: this turn's trouble only.
    _log.error("driver failed", exc_info=error)
    return BackendError(f"the agent's answer was not understood ({error!r})")


def write_private(path: Path, data: bytes | None) -> None:
    """Write `path` with mode 0600 in folders of mode 0700; `data` None removes it. Blocking.

    Raises:
        OSError: it could not be written.
    """
    if data is None:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        return
    missing = takewhile(lambda folder: not folder.exists(), path.parents)
    for folder in reversed(list(missing)):  # `parents=True` would not give them the mode
        folder.mkdir(exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.write_bytes(data)
