"""The store as the daemon holds it: opened once, closed last."""

from __future__ import annotations

from pathlib import Path

from .responses import Responses
from .worker import Worker


class Store:
    """What is kept on disk.

    Nothing of it blocks the event loop, and the daemon runs without it: what needs the store
    gets `StoreUnavailable` as long as the database cannot be used.

    Attributes:
        responses: the stored responses.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.responses = Responses(worker)

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
