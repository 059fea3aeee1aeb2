"""Brings a database to the newest revision, in the one transaction it is called in.

The stored revision is compared here, without Alembic, which is imported only when there is
something to migrate: that saves every other start 0.1 s of processor time.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from sqlalchemy import Connection, inspect, text

from .failures import DatabaseTooNew
from .schema import REVISIONS

MIGRATIONS = Path(__file__).parent / "migrations"

_alone = Lock()  # Alembic keeps the database it works on in its modules


def stored_revision(connection: Connection) -> str | None:
    """The revision of the database; None when it has never been migrated."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar()
    return revision


def migrate(connection: Connection, target: str = "head") -> None:
    """Run the migrations that are missing up to `target`.

    Raises:
        DatabaseTooNew: the database is of a revision this program does not know.
    """
    stored = stored_revision(connection)
    if stored == REVISIONS[-1]:
        return
    if stored is not None and stored not in REVISIONS:
        raise DatabaseTooNew(
            f"the database was written by a newer clinvk (revision {stored}, this one knows up to"
            f" {REVISIONS[-1]}): update clinvk, or move the database away"
        )
    from alembic.command import upgrade
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _alone:
        upgrade(config, target)
