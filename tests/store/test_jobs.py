"""Stored jobs, their events, and the keys of requests that are carried out once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from clinvkd.store import Claim, JobEvent, JobStatus, Store, StoredAnswer, StoredJob

from .samples import opened

FINAL = ("completed", "failed", "canceled", "interrupted")
CLAIM = Claim(owner="alice", route="POST /api/v1/prompt", key="k \ufffd", body_digest="d1")


def job(job_id: str, **changes: Any) -> StoredJob:
    values: dict[str, Any] = {
        "id": job_id, "owner": "alice", "kind": "parallel", "request": {"tasks": [1]},
        "created_at": 1_000.5,
    }  # fmt: skip
    return StoredJob(**(values | changes))


def events(first: int, last: int) -> list[JobEvent]:
    return [JobEvent(number, f'{{"n":{number}}}') for number in range(first, last + 1)]


async def test_a_job_goes_from_the_queue_to_its_end(store: Store) -> None:
    queued = job("job_1")
    await store.jobs.create(queued)
    assert await store.jobs.get("job_1", "alice") == queued
    assert await store.jobs.start("job_1", 2_000.0)
    running = replace(queued, status="running", started_at=2_000.0)
    assert await store.jobs.get("job_1", "alice") == running
    assert not await store.jobs.start("job_1", 3_000.0)
    assert await store.jobs.finish("job_1", "completed", 4_000.0, result={"results": []})
    done = replace(running, status="completed", ended_at=4_000.0, result={"results": []})
    assert await store.jobs.get("job_1", "alice") == done


async def test_a_job_survives_a_restart(path: Path) -> None:
    kept = job("job_1", status="failed", error={"code": "x"}, ended_at=2.0)
    async with opened(path) as store:
        await store.jobs.create(kept)
        await store.jobs.append("job_1", events(1, 3))
    async with opened(path) as store:
        assert await store.jobs.get("job_1", "alice") == kept
        assert list(await store.jobs.events("job_1", "alice")) == events(1, 3)


async def test_an_id_is_given_once(store: Store) -> None:
    await store.jobs.create(job("job_1"))
    with pytest.raises(ValueError, match="a job of that id"):
        await store.jobs.create(job("job_1", owner="bob"))
    assert await store.jobs.get("job_1", "bob") is None


@pytest.mark.parametrize("final", FINAL)
async def test_the_first_end_stays(store: Store, final: JobStatus) -> None:
    await store.jobs.create(job("job_1"))
    assert await store.jobs.finish("job_1", final, 2.0, events=events(1, 1))
    kept = await store.jobs.get("job_1", "alice")
    for late in FINAL:
        assert not await store.jobs.finish("job_1", late, 3.0, events=events(2, 2))  # type: ignore[arg-type]
    assert not await store.jobs.start("job_1", 3.0)
    assert await store.jobs.get("job_1", "alice") == kept
    assert list(await store.jobs.events("job_1", "alice")) == events(1, 1)


async def test_events_come_in_order_from_where_one_left_off(store: Store) -> None:
    await store.jobs.create(job("job_1"))
    assert await store.jobs.last_event("job_1", "alice") == 0
    await store.jobs.append("job_1", [])
    await store.jobs.append("job_1", events(1, 5))
    await store.jobs.append("job_1", events(6, 9))
    assert list(await store.jobs.events("job_1", "alice")) == events(1, 9)
    assert list(await store.jobs.events("job_1", None, after=4, limit=3)) == events(5, 7)
    assert await store.jobs.events("job_1", "alice", after=9) == ()
    assert await store.jobs.last_event("job_1", "alice") == 9


async def test_a_batch_of_events_is_kept_whole_or_not_at_all(store: Store) -> None:
    await store.jobs.create(job("job_1"))
    await store.jobs.append("job_1", events(1, 2))
    with pytest.raises(ValueError, match="such an event already"):
        await store.jobs.append("job_1", [*events(3, 4), *events(2, 2)])
    with pytest.raises(ValueError, match="no such job"):
        await store.jobs.append("job_2", events(1, 1))
    assert await store.jobs.last_event("job_1", "alice") == 2


async def test_another_owners_job_is_not_there(store: Store) -> None:
    await store.jobs.create(job("job_1"))
    await store.jobs.append("job_1", events(1, 2))
    for other in ("bob", ""):
        assert await store.jobs.get("job_1", other) is None
        assert await store.jobs.events("job_1", other) == ()
        assert await store.jobs.last_event("job_1", other) == 0
        assert (await store.jobs.list(other)).total == 0
        assert not await store.jobs.delete("job_1", other)
    assert await store.jobs.get("job_1", None) is not None


@pytest.mark.parametrize("text", ["", "%", "\0", "\ud800", "é", "job_1\n"])
async def test_what_is_no_id_is_not_found(store: Store, text: str) -> None:
    assert await store.jobs.get(text, None) is None
    assert await store.jobs.events(text, None) == ()
    assert await store.jobs.last_event(text, None) == 0
    assert not await store.jobs.delete(text, None)


async def test_a_list_begins_with_the_newest(store: Store) -> None:
    for number, status in enumerate(get_args(JobStatus)):
        kind = "chain" if number % 2 else "compare"
        await store.jobs.create(
            job(status, status=status, kind=kind, created_at=float(number), result={"r": 1})
        )
    page = await store.jobs.list("alice", limit=2, offset=1)
    assert [each.id for each in page.jobs] == ["canceled", "failed"]
    assert page.total == 6
    assert page.jobs[0] == job("canceled", status="canceled", kind="compare", created_at=4.0,
                               request={})  # fmt: skip
    page = await store.jobs.list(None, kind="chain", status="running")
    assert [each.id for each in page.jobs] == ["running"]
    assert page.total == 1


async def test_a_deleted_job_takes_its_events_along(store: Store) -> None:
    await store.jobs.create(job("job_1"))
    await store.jobs.append("job_1", events(1, 2))
    assert await store.jobs.delete("job_1", "alice")
    assert not await store.jobs.delete("job_1", "alice")
    await store.jobs.create(job("job_1"))
    assert await store.jobs.events("job_1", "alice") == ()


async def test_what_the_daemon_left_unfinished_is_marked_interrupted(path: Path) -> None:
    async with opened(path) as store:
        for status in get_args(JobStatus):
            await store.jobs.create(job(status, status=status, ended_at=1.0))
        async with opened(path) as second:
            assert (await second.clear_up(9.0))[
                "interrupted_jobs"
            ] == 0  # the other may work on them
    async with opened(path) as store:
        assert (await store.clear_up(9.0))["interrupted_jobs"] == 2
        for status in get_args(JobStatus):
            kept = await store.jobs.get(status, "alice")
            assert kept is not None
            expected = (status, 1.0) if status in FINAL else ("interrupted", 9.0)
            assert (kept.status, kept.ended_at) == expected


async def test_pruning_forgets_only_what_has_ended(store: Store) -> None:
    for number in range(4):
        await store.jobs.create(job(f"job_{number}", status="completed", ended_at=float(number)))
    await store.jobs.create(job("old", created_at=0.0))
    assert await store.jobs.prune(3.0, 2) == 2
    assert await store.jobs.prune(3.0, 2) == 1
    assert await store.jobs.prune(3.0, 2) == 0
    page = await store.jobs.list(None)
    assert {each.id for each in page.jobs} == {"job_3", "old"}


# Requests that are carried out once.


async def test_the_first_to_claim_a_key_carries_the_request_out(store: Store) -> None:
    assert await store.idempotency.claim(CLAIM, 1.0) is None
    running = StoredAnswer(body_digest="d1", state="running", created_at=1.0)
    assert await store.idempotency.claim(CLAIM, 2.0) == running
    # Who brings another body is told so by the digest of the first.
    assert await store.idempotency.claim(replace(CLAIM, body_digest="d2"), 2.0) == running
    headers = (("Content-Type", "application/json"), ("X", "y"))
    await store.idempotency.finish(CLAIM, status=200, headers=headers, body=b"\xff\0{}")
    assert await store.idempotency.claim(CLAIM, 3.0) == StoredAnswer(
        body_digest="d1", state="done", status=200, headers=headers, body=b"\xff\0{}",
        created_at=1.0,
    )  # fmt: skip


@pytest.mark.parametrize("other", [{"owner": "bob"}, {"route": "POST /x"}, {"key": "other"}])
async def test_owners_routes_and_keys_do_not_meet(store: Store, other: dict[str, str]) -> None:
    assert await store.idempotency.claim(CLAIM, 1.0) is None
    assert await store.idempotency.claim(replace(CLAIM, **other), 1.0) is None


async def test_of_many_at_once_one_gets_the_key(store: Store) -> None:
    answers = await asyncio.gather(*(store.idempotency.claim(CLAIM, 1.0) for _ in range(50)))
    assert sum(answer is None for answer in answers) == 1


async def test_a_released_key_can_be_claimed_again(store: Store) -> None:
    await store.idempotency.claim(CLAIM, 1.0)
    await store.idempotency.release(CLAIM)
    assert await store.idempotency.claim(CLAIM, 2.0) is None
    await store.idempotency.finish(CLAIM, status=200, headers=(), body=b"")
    await store.idempotency.release(CLAIM)  # too late: it has led to something
    assert await store.idempotency.claim(CLAIM, 3.0) is not None


async def test_a_job_answers_its_key_as_soon_as_it_is_there(path: Path) -> None:
    async with opened(path) as store:
        await store.idempotency.claim(CLAIM, 1.0)
        await store.jobs.create(job("job_1"), CLAIM)
        await store.idempotency.claim(replace(CLAIM, key="lost"), 1.0)
    async with opened(path) as store:
        assert (await store.clear_up(9.0))["released_keys"] == 1
        answer = await store.idempotency.claim(CLAIM, 2.0)
        assert answer is not None
        assert (answer.state, answer.job_id) == ("done", "job_1")
        assert await store.idempotency.claim(replace(CLAIM, key="lost"), 2.0) is None


async def test_a_job_that_cannot_be_made_does_not_answer(store: Store) -> None:
    await store.jobs.create(job("job_1"))
    await store.idempotency.claim(CLAIM, 1.0)
    with pytest.raises(ValueError, match="a job of that id"):
        await store.jobs.create(job("job_1"), CLAIM)
    answer = await store.idempotency.claim(CLAIM, 1.0)
    assert answer is not None
    assert answer.state == "running"


async def test_old_keys_are_forgotten(store: Store) -> None:
    await store.idempotency.claim(CLAIM, 1.0)
    await store.idempotency.claim(replace(CLAIM, key="new"), 2.0)
    assert await store.idempotency.prune(2.0) == 1
    assert await store.idempotency.claim(CLAIM, 3.0) is None
    assert await store.idempotency.claim(replace(CLAIM, key="new"), 3.0) is not None
