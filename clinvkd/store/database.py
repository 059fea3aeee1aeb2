"""One open database: its connection, its transactions, its tables. Used by one thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ..errors import StoreUnavailable
from . import sqlite
from .failures import DatabaseCorrupt
from .idempotency_rows import IdempotencyRows
from .job_rows import JobRows
from .migration import migrate
from .response_rows import ResponseRows
from .session_rows import SessionRows
from .usage_rows import UsageRows

_log = structlog.get_logger(__name__)


class Database:
    """An open database at the newest revision, checked.

    Attributes:
        responses: the table of responses, to be used inside a transaction, as are the others.
        sessions: the tables of sessions.
        jobs: the tables of jobs.
        idempotency: the table of claimed keys.
        usage: the table of usage.
        set_aside: where a damaged database went that had been in the place of this one, or None.
    """

    def __init__(self, connection: Connection, presence: sqlite.Presence) -> None:
        self._connection = connection
        self._presence = presence
        self.responses = ResponseRows(connection)
        self.sessions = SessionRows(connection)
        self.idempotency = IdempotencyRows(connection)
        self.jobs = JobRows(connection, self.idempotency)
        self.usage = UsageRows(connection)
        self.set_aside: Path | None = None

    @classmethod
    def open(cls, path: Path) -> Database:
        """Open the file, or begin it.

        A damaged file is renamed, never overwritten, and a new one is begun.

        Raises:
            StoreUnavailable: it cannot be opened, or not as what it is.
        """
        try:
            sqlite.make_private(path)
            presence = sqlite.Presence(path)
        except OSError as error:
            raise StoreUnavailable(f"the database cannot be opened: {error.strerror}") from error
        try:
            return cls._open_or_replace(path, presence)
        except BaseException:
            presence.close()
            raise

    @classmethod
    def _open_or_replace(cls, path: Path, presence: sqlite.Presence) -> Database:
        try:
            return cls._open(path, presence)
        except DatabaseCorrupt as damage:
            with presence.alone() as alone:
                if not alone:
                    raise
                try:
                    set_aside = sqlite.set_aside(path)
                    sqlite.make_private(path)
                except OSError as error:
                    raise damage from error
                _log.error(
                    "damaged database set aside, a new one is begun",
                    reason=damage.message,
                    set_aside=str(set_aside),
                )
                database = cls._open(path, presence)
            database.set_aside = set_aside
            return database

    @classmethod
    def _open(cls, path: Path, presence: sqlite.Presence) -> Database:
        sqlite.check(path)
        with _understood():
            connection = sqlite.make_engine(path).connect()
            database = cls(connection, presence)
            try:
                with database.transaction(writes=True):
                    migrate(connection)
            except BaseException:
                connection.close()
                raise
            return database

    def close(self) -> None:
        """Close the file; after a clean close everything is in it, nothing beside it."""
        self._connection.close()
        self._presence.close()

    @contextmanager
    def transaction(self, *, writes: bool) -> Iterator[None]:
        """All or nothing of what is done inside is kept.

        Raises:
            StoreUnavailable: the database cannot do it now.
        """
        self._connection.execution_options(writes=writes)
        with _understood(), self._connection.begin():
            yield

    def empty_log(self) -> None:
        """Take from the log beside the file what may have been deleted; outside of transactions.

        As long as another process reads what is there, it stays, until the next time.
        """
        sqlite.empty_log(self._connection)

    def clear_up(self, now: float) -> Mapping[str, int]:
        """See `Store.clear_up`."""
        with self._presence.alone() as alone:
            return {
                "interrupted_responses": self.responses.fail_unfinished() if alone else 0,
                "interrupted_jobs": self.jobs.interrupt(now) if alone else 0,
                "released_keys": self.idempotency.release_running() if alone else 0,
            }


@contextmanager
def _understood() -> Iterator[None]:
    """Errors of the driver as `StoreUnavailable`, as far as they are none of ours."""
    try:
        yield
    except DBAPIError as error:
        if (failure := sqlite.failure(error.orig)) is None:
            raise
        raise failure from error
