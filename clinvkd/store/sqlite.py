"""Everything that is peculiar to SQLite: its file, its settings, its locks and its errors.

The file is in WAL mode with ``synchronous=NORMAL``: what was committed survives the end of the
process at any point; a power cut may take the last commits, never the file.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection

from ..errors import StoreUnavailable
from .failures import DatabaseCorrupt, DatabaseLocked

BUSY_TIMEOUT_SECS = 5.0
"""How long a transaction waits for another process that writes."""

_SETTINGS = (
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "foreign_keys=ON",
    # What is deleted is overwritten, and the log beside the file is cut when it is written anew.
    "secure_delete=ON",
    "journal_size_limit=0",
)
_COMPANIONS = ("-wal", "-shm")
_PRIMARY_CODE = 0xFF


class Presence:
    """Tells the processes that have one database open of each other, by a lock file beside it.

    Raises:
        OSError: the lock file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._file = _open_private(path.with_name(path.name + ".lock"))
        self._lock(fcntl.LOCK_SH)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether no other process has the database open; if so, none can open it meanwhile."""
        try:
            self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock(fcntl.LOCK_SH)  # a failed exchange of locks may have given up the old one
            yield False
            return
        try:
            yield True
        finally:
            self._lock(fcntl.LOCK_SH)

    def close(self) -> None:
        """Be gone."""
        os.close(self._file)

    def _lock(self, operation: int) -> None:
        try:
            fcntl.flock(self._file, operation)
        except OSError as error:
            # On a file system without locks nobody else can be seen.
            if isinstance(error, BlockingIOError):
                raise


def make_private(path: Path) -> None:
    """Make the file, and the directory it is in, so that only their owner can read them.

    A directory that is there already stays as it is.

    Raises:
        OSError: it cannot be done.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(_open_private(path))


def set_aside(path: Path) -> Path:
    """Rename a database and what belongs to it; the new name, which nothing had before.

    Raises:
        OSError: it cannot be done.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    target = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    # The companions first: they must never be found beside a new database of the old name.
    for companion in _COMPANIONS:
        with suppress(FileNotFoundError):
            path.with_name(path.name + companion).rename(target.with_name(target.name + companion))
    path.rename(target)
    return target


def make_engine(path: Path) -> Engine:
    """An engine on the file, for use in one thread.

    The execution option ``writes`` of a connection says whether its next transaction writes: such
    a one waits for its turn at the beginning, because none can wait later.
    """
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        # Transactions begin where we say so, not where the driver of Python thinks they do.
        connect_args={"isolation_level": None, "timeout": BUSY_TIMEOUT_SECS},
        poolclass=NullPool,
        hide_parameters=True,  # else prompts stand in error messages
    )

    @event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        try:
            for setting in _SETTINGS:
                cursor.execute(f"PRAGMA {setting}")
        except BaseException:
            connection.close()
            raise
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def empty_log(connection: Connection) -> None:
    """Write what is in the log to the file and cut the log to nothing, unless somebody reads it.

    Raises:
        sqlite3.Error: it cannot be written.
    """
    # A checkpoint is no part of a transaction, so it goes past SQLAlchemy, which would begin one.
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.execute("PRAGMA busy_timeout=0")  # else it waits for readers
    try:
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        driver.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_SECS * 1000:.0f}")


def check(path: Path) -> None:
    """Look through the whole file, which takes as long as reading it.

    It is opened for reading only: else SQLite, when it is closed, takes away the log beside it,
    which may be the better part of a damaged database.

    Raises:
        DatabaseCorrupt: it is damaged.
        StoreUnavailable: it cannot be read.
    """
    try:
        with closing(
            sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_SECS
            )
        ) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise failure(error) or error from error
    if found != "ok":
        raise DatabaseCorrupt(f"the database is damaged: {found}")


def failure(error: BaseException | None) -> StoreUnavailable | None:
    """What an error of the driver means for the store, or None when it is a defect of ours."""
    code = getattr(error, "sqlite_errorcode", None)
    reason = str(error)
    match None if code is None else code & _PRIMARY_CODE:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return DatabaseLocked(f"the database is in use by another program: {reason}")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return DatabaseCorrupt(f"the database is damaged: {reason}")
        case (
            sqlite3.SQLITE_CANTOPEN
            | sqlite3.SQLITE_FULL
            | sqlite3.SQLITE_IOERR
            | sqlite3.SQLITE_NOMEM
            | sqlite3.SQLITE_PERM
            | sqlite3.SQLITE_PROTOCOL
            | sqlite3.SQLITE_READONLY
        ):
            return StoreUnavailable(f"the database cannot be used: {reason}")
    return None


def _open_private(path: Path) -> int:
    """A descriptor of the file, made if need be, that only its owner can read from now on."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
