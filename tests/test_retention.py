"""What the store lets go by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from clinvkd.config import SessionSettings
from clinvkd.prompt import Message, Prompt, Text
from clinvkd.retention import BATCH, IDEMPOTENCY_SECS, prune, tidy
from clinvkd.store import Claim, Store, StoredJob, TurnRecord

DAY = 86_400.0
NOW = 1_000 * DAY


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store.open(tmp_path / "clinvk.db")
    yield store
    await store.aclose()


async def add_session(store: Store, days_old: float, session_id: str | None = None) -> None:
    asked = Prompt(backend="echo", messages=(Message("user", (Text("x"),)),))
    record = TurnRecord(
        prompt=asked,
        reply=Message("assistant", (Text("y"),)),
        ended_at=NOW - days_old * DAY,
        session_id=session_id,
    )
    await store.sessions.record(record)


async def add_job(store: Store, name: str, days_old: float | None) -> None:
    """A job that ended so long ago, or waits."""
    job = StoredJob(id=name, owner="", kind="prompt", request={}, created_at=0)
    if days_old is not None:
        job = replace(job, status="completed", ended_at=NOW - days_old * DAY)
    await store.jobs.create(job)


async def test_what_is_too_old_goes_in_batches(store: Store) -> None:
    for _ in range(BATCH + 1):
        await add_session(store, 31)
    await add_session(store, 29)
    await add_session(store, 400, "a" * 32)
    await add_job(store, "old", 31)
    await add_job(store, "new", 29)
    await add_job(store, "waiting", None)
    await prune(store, NOW, 30, lambda: frozenset({"a" * 32}))
    assert await store.sessions.count() == 2
    assert await store.sessions.get("a" * 32, None) is not None
    assert {job.id for job in (await store.jobs.list(None)).jobs} == {"new", "waiting"}


async def test_with_zero_days_only_idempotency_keys_go(store: Store) -> None:
    await add_session(store, 10_000)
    await add_job(store, "old", 500)
    for key, age in (("old", IDEMPOTENCY_SECS + 1), ("new", IDEMPOTENCY_SECS - 1)):
        claim = Claim(owner="", route="POST /", key=key, body_digest="")
        await store.idempotency.claim(claim, NOW - age)
    await prune(store, NOW, 0)
    assert await store.sessions.count() == 1
    assert (await store.jobs.list(None)).total == 1
    for key, there in (("old", False), ("new", True)):
        claim = Claim(owner="", route="POST /", key=key, body_digest="")
        assert (await store.idempotency.claim(claim, NOW) is not None) is there


async def test_the_start_clears_up_after_the_last_daemon(tmp_path: Path) -> None:
    path = tmp_path / "clinvk.db"
    store = Store.open(path)
    await add_job(store, "waiting", None)
    await add_session(store, 1_000)
    await store.aclose()
    store = Store.open(path)
    tidying = asyncio.get_running_loop().create_task(
        tidy(store, store.clear_up(time.time()), SessionSettings, frozenset), name="tidy"
    )
    while await store.sessions.count():
        pass  # each look waits for what was asked of the store before
    job = await store.jobs.get("waiting", None)
    assert job is not None
    assert job.status == "interrupted"
    tidying.cancel()
    await asyncio.wait((tidying,))
    await store.aclose()


async def test_it_goes_on_without_a_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Store.open(tmp_path / "file" / "clinvk.db")
    tidying = asyncio.get_running_loop().create_task(
        tidy(store, store.clear_up(time.time()), SessionSettings, frozenset), name="tidy"
    )
    for _ in range(5):
        assert not tidying.done()
        await asyncio.wait((tidying,), timeout=0.02)
    assert not tidying.done()
    tidying.cancel()
    await asyncio.wait((tidying,))
    await store.aclose()
