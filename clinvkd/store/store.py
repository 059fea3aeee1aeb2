"""The store as the daemon holds it: opened once, closed last."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from .idempotency import Idempotency
from .jobs import Jobs
from .responses import Responses
from .sessions import Sessions
from .usage import UsageLedger
from .volatile import VolatileAnswers, VolatileJobs
from .worker import Worker


class Store:
    """What is kept on disk.

    Nothing of it blocks the event loop, and the daemon runs without it: what needs the store
    gets `StoreUnavailable` as long as the database cannot be used.

    Attributes:
        responses: the stored responses.
        sessions: the conversations of all dialects.
        jobs: work that goes on without a caller.
        idempotency: what requests that are carried out once led to.
        usage: what was used.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.responses = Responses(worker)
        self.sessions = Sessions(worker)
        self.jobs = Jobs(worker, VolatileJobs())
        self.idempotency = Idempotency(worker, VolatileAnswers())
        self.usage = UsageLedger(worker)

    @classmethod
    def open(cls, path: Path) -> Store:
        """Begin to open the database at `path` and return at once; calls wait for it.

        Needs a running event loop, the only one that may use the store.
        A damaged file is set aside and a new one begun; what else goes wrong is told by `ready`,
        `healthy` and every call, and opening is tried again with later calls.
        """
        return cls(Worker(path))

    async def ready(self) -> None:
        """Wait until the database is open.

        Raises:
            StoreUnavailable: it cannot be opened.
        """
        await self._worker.read(lambda _: None)

    def clear_up(self, now: float) -> asyncio.Future[Mapping[str, int]]:
        """End what ran when the last daemon died, before any later call is served.

        Only for the start of the daemon. Does nothing while another process has the same file
        open, because it may be at work on them.

        Args:
            now: seconds since the epoch.

        Returns:
            What tells how much of each it was; it may raise `StoreUnavailable`.
        """
        done = self._worker.submit(lambda database: database.clear_up(now), writes=True)
        done.add_done_callback(lambda future: future.cancelled() or future.exception())
        return done

    def healthy(self) -> str | None:
        """Why the store does not work, as of its last use; None when it does."""
        return self._worker.problem

    @property
    def set_aside(self) -> Path | None:
        """Where a damaged database went that this store found in its place, or None."""
        return self._worker.set_aside

    async def aclose(self) -> None:
        """Finish all calls made so far and close the database; later calls fail."""
        await self._worker.aclose()
