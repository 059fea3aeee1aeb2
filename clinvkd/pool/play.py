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
from collections.abc import Callable
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

import structlog

from ..drivers.base import RECEIVE, Exchange, Json, Send, WriteFile
from ..errors import BackendError, ClinvkError
from ..events import Event

_log = structlog.get_logger(__name__)


class Play:
    """One exchange being played.

    Attributes:
        ended: whether the exchange ran to its end, well or badly.
        error: what it failed with, or None.
        progress: `time.monotonic()` of the last message it was fed.
    """

    def __init__(self, exchange: Exchange[Any], write: Callable[[Json], None]) -> None:
        self._exchange = exchange
        self._write = write
        self._events: list[Event] = []
        self._inbox: deque[Json] = deque()
        self._attending = False  # not before the start, nor while a file is written
        self._discarding = False
        self._given_up: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
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
        """Nobody reads the events any more; the exchange goes on."""
        self._discarding = True
        self._events.clear()

    def give_up(self, error: BaseException) -> None:
        """Have `batch` raise `error` once the events before it are taken; the exchange goes on."""
        self._given_up = error
        self._wake()

    @property
    def backlog(self) -> int:
        """Events that nobody has taken yet."""
        return len(self._events)

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

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _go_on(self) -> None:
        if not self.ended:
            self._attending = True
            self._step(None)

    def _step(self, value: Json | None) -> None:
        send = self._exchange.send
        try:
            while True:
                step = send(value)
                value = None
                if step is RECEIVE:
                    if not self._inbox:
                        break
                    value = self._inbox.popleft()
                elif type(step) is Send:
                    self._write(step.message)
                elif type(step) is WriteFile:
                    self._write_file(step)
                    break
                elif not self._discarding:
                    self._events.append(step)  # type: ignore[arg-type]
        except StopIteration:
            self._end(None)
        except ClinvkError as error:
            self._end(error)
        except Exception as error:  # noqa: BLE001 - the last line of defence
            # The agent said something the driver did not expect: this turn's trouble only.
            _log.exception("driver failed")
            self._end(BackendError(f"the agent's answer was not understood ({error!r})"))
        else:
            if self._events:
                self._wake()

    def _end(self, error: BaseException | None) -> None:
        self.ended = True
        self.error = error
        self._inbox.clear()
        self._wake()

    def _write_file(self, step: WriteFile) -> None:
        self._attending = False
        future = asyncio.get_running_loop().run_in_executor(
            None, write_private, step.path, step.data
        )
        future.add_done_callback(self._file_written)

    def _file_written(self, future: asyncio.Future[None]) -> None:
        if future.cancelled():
            return
        if (error := future.exception()) is not None:
            self.fail(BackendError(f"a private file for the agent could not be written: {error}"))
        else:
            self._go_on()


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
