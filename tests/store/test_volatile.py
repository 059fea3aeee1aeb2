"""What is in memory alone: it is there as long as there is room and the process runs."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clinvkd.store import Claim, JobEvent, Store, StoredJob
from clinvkd.store.idempotency import HeldAnswer
from clinvkd.store.volatile import VolatileAnswers, VolatileJobs

from .samples import opened

CLAIM = Claim(owner="alice", route="POST /api/v1/prompt", key="k", body_digest="d1")
ERROR = {"code": "backend_error", "type": "backend_error", "message": "platypus", "param": None}
BARE = {
    "code": "backend_error", "type": "backend_error",
    "message": "what it said was in memory only, and is gone",
}  # fmt: skip


def job(job_id: str, **changes: Any) -> StoredJob:
    values: dict[str, Any] = {
        "id": job_id, "owner": "alice", "kind": "prompt", "request": {"prompt": "platypus"},
        "created_at": 1.0,
    }  # fmt: skip
    return StoredJob(**(values | changes))


def events(first: int, last: int, text: str = "platypus") -> list[JobEvent]:
    return [JobEvent(number, text) for number in range(first, last + 1)]


def on_disk(path: Path, text: str = "platypus") -> bool:
    return any(text.encode() in file.read_bytes() for file in path.parent.iterdir())


async def ran(store: Store, job_id: str) -> None:
    """A job whose content is not stored, from its begin to its end."""
    await store.jobs.create(job(job_id), content=False)
    await store.jobs.start(job_id, 2.0)
    await store.jobs.append(job_id, events(1, 2))
    assert await store.jobs.finish(job_id, "failed", 3.0, error=ERROR, events=events(3, 3))


async def test_a_job_looks_as_if_it_were_stored(path: Path) -> None:
    async with opened(path) as store:
        await store.jobs.create(job("a"), content=False)
        assert await store.jobs.get("a", "alice") == job("a")
        assert await store.jobs.start("a", 2.0)
        await store.jobs.append("a", events(1, 3))
        assert await store.jobs.last_event("a", "alice") == 3
        assert list(await store.jobs.events("a", "alice", after=1, limit=1)) == events(2, 2)
        result = {"output": "platypus"}
        assert await store.jobs.finish("a", "completed", 3.0, result=result, events=events(4, 4))
        assert not await store.jobs.finish("a", "canceled", 4.0, events=events(5, 5))
        done = job("a", status="completed", started_at=2.0, ended_at=3.0, result=result)
        assert await store.jobs.get("a", None) == done
        assert list(await store.jobs.events("a", None)) == events(1, 4)
        assert not on_disk(path)
    assert not on_disk(path)


async def test_another_owner_sees_nothing_of_it(store: Store) -> None:
    await ran(store, "a")
    assert await store.jobs.get("a", "bob") is None
    assert await store.jobs.events("a", "bob") == ()
    assert await store.jobs.last_event("a", "bob") == 0
    assert not await store.jobs.delete("a", "bob")
    assert await store.jobs.last_event("a", "alice") == 3


async def test_after_a_restart_a_job_is_known_and_no_more(path: Path) -> None:
    async with opened(path) as store:
        await ran(store, "a")
        found = await store.jobs.get("a", "alice")
        assert found is not None
        assert found.error == ERROR
        assert (await store.jobs.list("alice")).jobs[0].error == ERROR
    assert not on_disk(path)
    async with opened(path) as store:
        assert await store.jobs.get("a", "alice") == replace(found, request={}, error=BARE)
        assert await store.jobs.last_event("a", "alice") == 0
        assert await store.jobs.events("a", "alice") == ()


@pytest.mark.parametrize("way", ["delete", "prune"])
async def test_a_job_that_is_forgotten_leaves_the_memory_too(store: Store, way: str) -> None:
    await ran(store, "a")
    if way == "delete":
        assert await store.jobs.delete("a", "alice")
    else:
        assert await store.jobs.prune(3.0, 10) == 0
        assert await store.jobs.last_event("a", None) == 3
        assert await store.jobs.prune(4.0, 10) == 1
    assert await store.jobs.last_event("a", None) == 0
    assert store.jobs._contents._bytes == 0


def test_of_jobs_that_have_ended_the_first_goes_first() -> None:
    held = VolatileJobs(most_bytes=500)
    for name in "abc":
        held.add(job(name))
    held.append("c", events(1, 1, "x" * 1_000))
    for name in "ab":
        held.finish(name, 1.0, {"output": "y" * 300}, None, ())
    assert [held.events(name, None) is not None for name in "abc"] == [False, True, True]
    held.finish("c", 2.0, None, None, ())
    assert [held.events(name, None) is not None for name in "abc"] == [False, False, True]
    held.drop("c")
    held.drop("c")
    assert held._bytes == 0


async def test_an_answer_is_in_memory_alone(path: Path) -> None:
    answer: dict[str, Any] = {"status": 200, "headers": (("A", "platypus"),), "body": b"platypus"}
    async with opened(path) as store:
        assert await store.idempotency.claim(CLAIM, 1.0) is None
        await store.idempotency.finish(CLAIM, **answer, content=False)
        before = await store.idempotency.claim(CLAIM, 2.0)
        assert before is not None
        assert (before.state, before.status) == ("done", 200)
        assert (before.headers, before.body) == (answer["headers"], b"platypus")
        other = await store.idempotency.claim(replace(CLAIM, body_digest="d2"), 2.0)
        assert other is not None
        assert other.body_digest == "d1"
        assert not on_disk(path)
    async with opened(path) as store:
        assert await store.idempotency.claim(CLAIM, 3.0) == replace(before, headers=(), body=None)
        await store.idempotency.prune(time.time() + 60)
        assert await store.idempotency.claim(CLAIM, 3.0) is None


def test_answers_have_so_much_room() -> None:
    held = VolatileAnswers(most_bytes=10)
    claims = [replace(CLAIM, key=key) for key in "abc"]
    for number, claim in enumerate(claims):
        held.put(claim, HeldAnswer((), b"x" * 5, float(number)))
        held.put(claim, HeldAnswer((), b"y" * 5, float(number)))
    assert [held.get(claim) is not None for claim in claims] == [False, True, True]
    held.prune(2.0)
    assert [held.get(claim) is not None for claim in claims] == [False, False, True]
    assert held._bytes == 5
    held.put(CLAIM, HeldAnswer((), b"z" * 50, 3.0))
    assert held.get(CLAIM) is not None
    assert held.get(claims[2]) is None
