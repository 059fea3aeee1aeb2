from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from pathlib import Path

import pytest

from clinvkd.errors import StoreUnavailable
from clinvkd.store import Store
from clinvkd.store.database import Database
from clinvkd.store.worker import Worker

from .samples import opened, response


def store_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "store"]


async def test_only_the_owner_can_read_the_files(path: Path) -> None:
    async with opened(path) as store:
        await store.responses.put(response("resp_1"))
        assert path.parent.stat().st_mode & 0o777 == 0o700
        files = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert {"clinvk.db", "clinvk.db-wal", "clinvk.db-shm"} <= set(files)
    assert set(files.values()) == {0o600}


@pytest.fixture
def readable(path: Path) -> Path:
    """An empty file that everybody can read."""
    path.parent.mkdir()
    path.touch()
    path.chmod(0o644)
    return path


async def test_a_file_others_could_read_is_made_private(readable: Path) -> None:
    async with opened(readable) as store:
        await store.ready()
    assert [file.stat().st_mode & 0o777 for file in readable.parent.glob("clinvk.db")] == [0o600]


async def test_a_clean_end_leaves_one_file(path: Path) -> None:
    async with opened(path) as store:
        await store.responses.put(response("resp_1"))
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("SELECT count(*) FROM responses").fetchone() == (1,)
    database.close()
    assert {file.name for file in path.parent.iterdir()} == {"clinvk.db", "clinvk.db.lock"}


async def test_the_thread_ends_with_the_store(path: Path) -> None:
    async with opened(path):
        assert len(store_threads()) == 1
    assert not store_threads()


async def test_the_end_waits_for_what_was_asked_before(path: Path) -> None:
    store = Store.open(path)
    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(store.responses.put(response(f"resp_{number}")))
        await asyncio.sleep(0)  # now they have all been asked for
        await store.aclose()
    async with opened(path) as store:
        assert await store.responses.prune(2e9) == 50


async def test_after_the_end_calls_are_refused(store: Store) -> None:
    await store.aclose()
    await store.aclose()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.responses.get("resp_1", "alice")


async def test_a_thousand_puts_at_once(store: Store) -> None:
    sent = [response(f"resp_{number}", model=str(number)) for number in range(1000)]
    await asyncio.gather(*(store.responses.put(each) for each in sent))
    kept = await asyncio.gather(*(store.responses.get(each.id, "alice") for each in sent))
    assert kept == sent


async def test_calls_that_wait_together_are_done_in_order(store: Store) -> None:
    puts = (
        store.responses.put(response("resp_1", model=str(number), created_at=float(number)))
        for number in range(500)
    )
    *_, kept = await asyncio.gather(*puts, store.responses.get("resp_1", "alice"))
    assert kept is not None
    assert kept.model == "499"


async def test_calls_that_wait_together_share_a_transaction(path: Path) -> None:
    worker = Worker(path)
    began = 0

    def on_statement(statement: str) -> None:
        nonlocal began
        began += statement.startswith("BEGIN")

    def trace(database: Database) -> None:
        raw = database._connection.connection.driver_connection
        assert raw is not None
        raw.set_trace_callback(on_statement)

    await worker.read(trace)
    release = threading.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.read(lambda _: release.wait(30)))
        for _ in range(20):
            group.create_task(
                worker.write(lambda database: database.responses.put(response("resp_1")))
            )
        await asyncio.sleep(0)  # now they are all in the queue
        release.set()
    await worker.aclose()
    assert began in {1, 2}  # one for the first, if the thread was quick, and one for the others


async def test_a_call_that_fails_does_so_alone(store: Store) -> None:
    await store.responses.put(response("taken", client="bob"))
    wrong = response("wrong", request={"no JSON": object()})
    calls = [response("resp_1"), response("taken"), response("resp_2"), wrong, response("resp_3")]

    results = await asyncio.gather(
        *(store.responses.put(each) for each in calls), return_exceptions=True
    )

    assert [type(result) for result in results] == [
        type(None),
        ValueError,
        type(None),
        TypeError,
        type(None),
    ]
    for kept in ("resp_1", "resp_2", "resp_3"):
        assert await store.responses.get(kept, "alice") is not None
    assert await store.responses.get("wrong", "alice") is None
    assert store.healthy() is None  # a wrong call is no trouble of the store


async def test_a_caller_who_leaves_stops_nothing(path: Path) -> None:
    worker = Worker(path)
    release = threading.Event()
    done: list[str] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.read(lambda _: release.wait(30)))
        left = group.create_task(worker.write(lambda _: done.append("of who left")))
        stayed = group.create_task(worker.write(lambda _: done.append("of who stayed")))
        await asyncio.sleep(0)  # now they are all in the queue
        left.cancel()
        await asyncio.wait([left])
        release.set()
        await stayed
    await worker.aclose()
    assert done == ["of who left", "of who stayed"]


async def test_the_event_loop_runs_while_the_store_works(path: Path) -> None:
    worker = Worker(path)
    release = threading.Event()
    async with asyncio.TaskGroup() as group:
        call = group.create_task(worker.write(lambda _: release.wait(30)))
        await asyncio.sleep(0)
        release.set()  # only a loop that is not blocked comes this far
    assert call.result() is True
    await worker.aclose()


async def test_importing_the_store_loads_no_database_library() -> None:
    code = "import sys, clinvkd.store; print([n in sys.modules for n in ('sqlalchemy', 'alembic')])"
    assert await output_of("-c", code) == "[False, False]"


async def test_an_ordinary_start_loads_no_alembic(path: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path; from clinvkd.store import Store\n"
        "async def main():\n"
        "    store = Store.open(Path(sys.argv[1])); await store.ready(); await store.aclose()\n"
        "asyncio.run(main()); print([n in sys.modules for n in ('sqlalchemy', 'alembic')])"
    )
    assert await output_of("-c", code, str(path)) == "[True, True]"
    assert await output_of("-c", code, str(path)) == "[True, False]"


async def output_of(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode().strip()
