from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from clinvkd.errors import StoreUnavailable
from clinvkd.store import Store, sqlite, worker

from .samples import opened, response

ROOT = Path(__file__).parents[2]
GARBAGE = b"this is no database at all\n" * 200


@pytest.fixture
def again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause after an attempt to open the database failed."""
    monkeypatch.setattr(worker, "REOPEN_AFTER_SECS", 0.0)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def damage(path: Path) -> bytes:
    """Destroy the inside of a database, not its head; the new content."""
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    return bytes(content)


def contents(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


async def test_a_file_that_is_no_database_is_set_aside(path: Path) -> None:
    write(path, GARBAGE)
    async with opened(path) as store:
        await store.responses.put(response("resp_1"))
        assert await store.responses.get("resp_1", "alice") == response("resp_1")
        assert store.healthy() is None
        aside = store.set_aside
    assert aside is not None
    assert aside.name.startswith("clinvk.db.corrupt-")
    assert contents(path.parent)[aside.name] == GARBAGE

    async with opened(path) as store:
        assert await store.responses.get("resp_1", "alice") == response("resp_1")
        assert store.set_aside is None


async def test_a_damaged_database_is_set_aside(path: Path) -> None:
    async with opened(path) as store:
        await asyncio.gather(*(store.responses.put(response(f"resp_{i}")) for i in range(100)))
    damaged = damage(path)
    async with opened(path) as store:
        assert await store.responses.get("resp_1", "alice") is None
        await store.responses.put(response("resp_1"))
        aside = store.set_aside
    assert aside is not None
    assert contents(path.parent)[aside.name] == damaged


async def test_what_belongs_to_a_damaged_database_goes_with_it(path: Path) -> None:
    write(path, GARBAGE)
    write(path.with_name("clinvk.db-wal"), b"old log")
    async with opened(path) as store:
        await store.ready()
        aside = store.set_aside
    assert aside is not None
    assert contents(path.parent)[f"{aside.name}-wal"] == b"old log"


async def test_no_damaged_database_is_overwritten_by_the_next(path: Path) -> None:
    asides = set()
    for number in range(3):
        write(path, GARBAGE + bytes([number]))
        async with opened(path) as store:
            await store.ready()
            asides.add(store.set_aside)
    assert len(asides) == 3
    kept = contents(path.parent)
    assert sorted(kept[aside.name][-1] for aside in asides if aside) == [0, 1, 2]


async def test_a_database_damaged_while_it_is_open_is_replaced(path: Path) -> None:
    async with opened(path) as store:
        await asyncio.gather(*(store.responses.put(response(f"resp_{i}")) for i in range(100)))
    async with opened(path) as store:
        await store.ready()
        damage(path)
        with pytest.raises(StoreUnavailable, match="damaged"):
            await store.responses.get("resp_99", "alice")
        assert "damaged" in (store.healthy() or "")
        await store.responses.put(response("new"))
        assert await store.responses.get("new", "alice") == response("new")
        assert store.healthy() is None
        assert store.set_aside is not None


@pytest.mark.usefixtures("again_at_once")
async def test_a_damaged_file_another_store_uses_stays_in_its_place(path: Path) -> None:
    async with opened(path) as other:
        await asyncio.gather(*(other.responses.put(response(f"resp_{i}")) for i in range(100)))
        await other.aclose()
    async with opened(path) as other:
        await other.ready()
        damaged = damage(path)
        async with opened(path) as store:
            with pytest.raises(StoreUnavailable, match="damaged"):
                await store.ready()
            assert contents(path.parent)["clinvk.db"] == damaged
            await other.aclose()
            await store.ready()
            assert store.set_aside is not None


@pytest.mark.usefixtures("again_at_once")
async def test_a_database_that_cannot_be_opened_is_tried_again(path: Path) -> None:
    write(path.parent, b"a file where the directory should be")
    async with opened(path) as store:
        with pytest.raises(StoreUnavailable):
            await store.ready()
        with pytest.raises(StoreUnavailable):
            await store.responses.put(response("resp_1"))
        assert store.healthy() is not None
        path.parent.unlink()
        await store.responses.put(response("resp_1"))
        assert store.healthy() is None


async def test_a_database_in_use_is_waited_for(path: Path, store: Store) -> None:
    await store.ready()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with asyncio.TaskGroup() as group:
            group.create_task(store.responses.put(response("resp_1")))
            await asyncio.sleep(0)
            other.execute("COMMIT")
    assert await store.responses.get("resp_1", "alice") is not None


async def test_a_database_in_use_for_too_long_refuses_to_write(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_SECS", 0.01)
    async with opened(path) as store:
        await store.responses.put(response("resp_1"))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            refused, kept = await asyncio.gather(
                store.responses.put(response("resp_2")),
                store.responses.get("resp_1", "alice"),
                return_exceptions=True,
            )
            assert isinstance(refused, StoreUnavailable)
            assert "in use by another program" in refused.message
            assert kept == response("resp_1")
            assert store.healthy() is not None
            other.execute("COMMIT")
        await store.responses.put(response("resp_2"))
        assert store.healthy() is None


async def test_a_defect_in_opening_is_no_end_of_the_thread(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_SETTINGS", ("journal_mode=WAL; SELECT",))
    async with opened(path) as store:
        with pytest.raises(StoreUnavailable, match="the log tells why"):
            await store.ready()


async def test_a_full_disk_refuses_what_does_not_fit(path: Path) -> None:
    told = await told_by("tests.store.full_disk", path)
    reason = told.pop("reason")
    assert told == {
        "before": "kept",
        "big": "store_unavailable",
        "read while full": True,
        "together": ["kept", "store_unavailable", "kept"],
        "after": "kept",
        "reason after": None,
    }
    assert "cannot be used" in reason
    async with opened(path) as store:
        for kept in ("before", "small 1", "small 2", "after"):
            assert await store.responses.get(kept, "alice") is not None
        assert await store.responses.get("big", "alice") is None
        assert store.set_aside is None


@pytest.mark.skipif(sys.platform != "linux", reason="gives up the rights of a superuser")
@pytest.mark.parametrize("files", [(), ("clinvk.db",), ("clinvk.db", "clinvk.db.lock")])
async def test_a_read_only_directory_is_no_end_of_the_program(
    path: Path, files: tuple[str, ...]
) -> None:
    async with opened(path) as store:
        await store.ready()
    for file in path.parent.iterdir():
        if file.name not in files:
            file.unlink()
    told = await told_by("tests.store.read_only", path)
    assert told["put"] == "store_unavailable"
    assert "cannot be" in told["reason"]
    assert told["files"] == list(files)


async def told_by(program: str, path: Path) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", program, str(path), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    told: dict[str, Any] = json.loads(output.splitlines()[-1])  # the log comes before
    return told
