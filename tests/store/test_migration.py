from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from clinvkd.errors import StoreUnavailable
from clinvkd.store import sqlite
from clinvkd.store.migration import MIGRATIONS, migrate, stored_revision
from clinvkd.store.schema import REVISIONS, metadata

from .samples import opened, response


@contextmanager
def connected(path: Path) -> Iterator[Connection]:
    sqlite.make_private(path)
    with sqlite.make_engine(path).connect() as connection, connection.begin():
        yield connection


def test_the_known_revisions_are_those_there_are() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    assert tuple(reversed([script.revision for script in scripts])) == REVISIONS


async def test_several_databases_are_migrated_at_the_same_time(tmp_path: Path) -> None:
    async def stored(name: str) -> None:
        async with opened(tmp_path / name) as store:
            await store.responses.put(response(name))
            assert await store.responses.get(name, "alice")

    async with asyncio.TaskGroup() as several:
        for number in range(4):
            several.create_task(stored(f"resp_{number}"))


@pytest.mark.parametrize("revision", REVISIONS)
async def test_a_database_of_any_revision_is_brought_to_the_newest(
    path: Path, revision: str
) -> None:
    with connected(path) as connection:
        migrate(connection, revision)
        assert stored_revision(connection) == revision
    async with opened(path) as store:
        await store.responses.put(response("resp_1"))
    with connected(path) as connection:
        assert stored_revision(connection) == REVISIONS[-1]


def test_migrations_lead_to_the_tables_of_the_program(path: Path) -> None:
    with connected(path) as connection:
        assert stored_revision(connection) is None
        migrate(connection)
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_migration_that_fails_leaves_nothing(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database:
        # The last statement of the first migration will find its name taken.
        database.execute("CREATE TABLE other (status)")
        database.execute("CREATE INDEX responses_by_status ON other (status)")
    with pytest.raises(Exception, match="already exists"), connected(path) as connection:
        migrate(connection)
    with closing(sqlite3.connect(path)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert tables == [("other",)]


async def test_a_database_of_a_newer_program_is_refused_and_left_alone(path: Path) -> None:
    async with opened(path) as store:
        await store.responses.put(response("resp_1"))
    set_revision(path, "9999")

    async with opened(path) as store:
        with pytest.raises(StoreUnavailable, match=r"newer clinvk \(revision 9999"):
            await store.ready()
        with pytest.raises(StoreUnavailable, match="update clinvk"):
            await store.responses.get("resp_1", "alice")
        assert "newer clinvk" in (store.healthy() or "")
        assert store.set_aside is None

    set_revision(path, REVISIONS[-1])
    async with opened(path) as store:
        assert await store.responses.get("resp_1", "alice") == response("resp_1")


def set_revision(path: Path, revision: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
