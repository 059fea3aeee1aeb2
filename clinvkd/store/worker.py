"""The one thread that uses the database, and the queue through which the event loop asks it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import structlog

from ..errors import StoreUnavailable
from .failures import DatabaseCorrupt, DatabaseLocked

if TYPE_CHECKING:
    from .database import Database

_log = structlog.get_logger(__name__)
_Result = TypeVar("_Result")

MOST_TOGETHER = 256
"""Most calls of one transaction."""

REOPEN_AFTER_SECS = 2.0
"""After the database could not be opened, calls fail at once for that long."""


@dataclass(frozen=True, slots=True)
class _Call:
    function: Callable[[Database], Any]
    writes: bool
    erases: bool
    future: asyncio.Future[Any]


_Answer: TypeAlias = tuple[_Call, Any, Exception | None]


class Worker:
    """Runs calls in a thread, in the order they come, each in a transaction.

    Calls that wait together share one transaction; a call that fails does so alone, because the
    others then run again without it. So a call does nothing but use the database it is given.
    Needs a running event loop, and all calls come from it.

    Attributes:
        problem: why the last use of the database failed, or None when it did not.
        set_aside: where a damaged database was put by this worker, or None.
    """

    def __init__(self, path: Path) -> None:
        self.problem: str | None = None
        self.set_aside: Path | None = None
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._closed = False
        self._database: Database | None = None
        self._open_failure: StoreUnavailable | None = None
        self._open_again_at = 0.0
        # A daemon thread: who forgets to close it must still be able to end.
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    async def read(self, function: Callable[[Database], _Result]) -> _Result:
        """What `function` gives; it must not change anything.

        Raises:
            StoreUnavailable: the database cannot be used, or the worker is closed.
        """
        return await self.submit(function, writes=False)

    async def write(self, function: Callable[[Database], _Result]) -> _Result:
        """What `function` gives, once what it did is on its way to the disk for good.

        Raises:
            StoreUnavailable: the database cannot be used, or the worker is closed; nothing of
                this call has been kept.
        """
        return await self.submit(function, writes=True)

    async def erase(self, function: Callable[[Database], _Result]) -> _Result:
        """The same as `write`; then what it deleted is not in the log beside the file either.

        Raises:
            StoreUnavailable: as `write`.
        """
        return await self.submit(function, writes=True, erases=True)

    async def aclose(self) -> None:
        """Finish all calls made so far, close the database, end the thread."""
        if not self._closed:
            self._closed = True
            self._calls.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()

    def submit(
        self, function: Callable[[Database], _Result], *, writes: bool, erases: bool = False
    ) -> asyncio.Future[_Result]:
        """Put a call in the queue now, before all that follow; what it gives comes later.

        Raises:
            StoreUnavailable: the worker is closed.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        future: asyncio.Future[_Result] = self._loop.create_future()
        self._calls.put(_Call(function, writes, erases, future))
        return future

    # In the thread.

    def _run(self) -> None:
        try:
            with suppress(StoreUnavailable):
                self._opened()
            while self._serve():
                pass
        finally:
            try:
                self._close_database()
            finally:
                self._post(self._ended.set_result, None)

    def _serve(self) -> bool:
        """Answer the calls that wait; whether more may come. Nothing of them is held afterwards."""
        batch, more = self._next_batch()
        answers = self._answers(batch)
        if any(call.erases for call in batch):
            self._empty_log()
        self._post(_deliver, answers)
        return more

    def _empty_log(self) -> None:
        """What was deleted is deleted for good, whatever becomes of this: it ends no thread."""
        if self._database is None:
            return
        try:
            self._database.empty_log()
        except Exception as error:  # noqa: BLE001 - the last line of defence
            _log.warning("the log of the database was not emptied", reason=str(error))

    def _next_batch(self) -> tuple[list[_Call], bool]:
        """All calls that wait, at least one, and whether more may come."""
        call = self._calls.get()
        batch: list[_Call] = []
        with suppress(Empty):
            while call is not None:
                batch.append(call)
                if len(batch) == MOST_TOGETHER:
                    return batch, True
                call = self._calls.get_nowait()
            return batch, False
        return batch, True

    def _answers(self, batch: Sequence[_Call]) -> list[_Answer]:
        if not batch:
            return []
        writes = any(call.writes for call in batch)
        try:
            database = self._opened()
            with database.transaction(writes=writes):
                answers: list[_Answer] = [(call, call.function(database), None) for call in batch]
        except Exception as error:  # noqa: BLE001 - each caller gets the one that is his
            self._note(error)
            if self._open_failure is not None or len(batch) == 1:
                return [(call, None, error) for call in batch]
            match error:
                case DatabaseLocked() if writes:  # it can be read all the same
                    refused = [(call, None, error) for call in batch if call.writes]
                    return refused + self._answers([call for call in batch if not call.writes])
                case DatabaseLocked() | DatabaseCorrupt():
                    return [(call, None, error) for call in batch]
                case _:  # the others may succeed without the one that failed
                    return [answer for call in batch for answer in self._answers([call])]
        if writes:
            self.problem = None
        return answers

    def _opened(self) -> Database:
        """The database, opened if need be.

        Raises:
            StoreUnavailable: it cannot be opened, or could not a moment ago.
        """
        if self._database is not None:
            return self._database
        if self._open_failure is not None and time.monotonic() < self._open_again_at:
            raise StoreUnavailable(self._open_failure.message)
        try:
            # SQLAlchemy comes in here, so that the daemon listens before it is loaded.
            from .database import Database

            self._database = Database.open(self._path)
        except StoreUnavailable as failure:
            self._not_opened(failure)
            raise
        except Exception as error:
            _log.exception("the database could not be opened")
            unknown = StoreUnavailable("the database could not be opened; the log tells why")
            self._not_opened(unknown)
            raise unknown from error
        self._open_failure = self.problem = None
        self.set_aside = self._database.set_aside or self.set_aside
        return self._database

    def _not_opened(self, failure: StoreUnavailable) -> None:
        self._note(failure)
        self._open_failure = failure
        self._open_again_at = time.monotonic() + REOPEN_AFTER_SECS

    def _note(self, error: Exception) -> None:
        """Keep and log the reason of a failure; a damaged file is closed, to be replaced."""
        if not isinstance(error, StoreUnavailable):
            return  # the caller's to report
        if error.message != self.problem:
            _log.error("the store is unavailable", reason=error.message)
        self.problem = error.message
        if isinstance(error, DatabaseCorrupt):
            self._close_database()

    def _close_database(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _post(self, function: Callable[..., object], argument: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(function, argument)


def _deliver(answers: Sequence[_Answer]) -> None:
    for call, result, error in answers:
        if call.future.done():
            continue  # the caller was cancelled
        if error is None:
            call.future.set_result(result)
        else:
            call.future.set_exception(error)
