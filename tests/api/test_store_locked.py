"""A database that another program holds is waited out by jobs and idempotency keys."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.test_utils import TestServer, make_mocked_request

from clinvkd.api.endpoint import CALLER, ENGINE
from clinvkd.config import Settings
from clinvkd.keys import OWNER
from clinvkd.middleware.idempotency import idempotency
from clinvkd.store import Claim, insisting, sqlite

from .service import NDJSON, Answer, Service, eventually, serving, until

pytestmark = pytest.mark.usefixtures("hasty")

PROMPT, JOBS = "/api/v1/prompt", "/api/v1/jobs"
ASKS = {"backend": "echo", "prompt": "[[ask shell]]done", "approval_mode": "ask"}
KEY = {"Idempotency-Key": "k"}


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little patience with a locked database, and no pause before the next attempt."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_SECS", 0.01)
    monkeypatch.setattr(insisting, "RETRY_SECS", 0.01)


class Lock:
    """Keeps everybody else from writing to the database in `folder` while it is held."""

    def __init__(self, folder: Path) -> None:
        path = folder / "home" / ".clinvk" / "clinvk.db"
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=30)

    def take(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def give_back(self) -> None:
        self._connection.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()


async def noticed(service: Service) -> None:
    """Wait until the service could not write."""
    await until(lambda: service.engine.store.healthy() is not None)


@asynccontextmanager
async def locked_later(folder: Path, **sections: Any) -> AsyncIterator[tuple[Service, Lock]]:
    """A service, and a lock on its database that is not held yet."""
    async with serving(folder, **sections) as service:
        await service.engine.store.ready()
        with closing(Lock(folder)) as lock:
            yield service, lock


async def call(service: Service, method: str, path: str) -> Answer:
    async with service.client.request(method, path) as response:
        return await Answer.of(response)


async def begun(service: Service, body: dict[str, Any]) -> str:
    answer = await service.post({**body, "background": True})
    assert answer.status == 202, answer.text
    return f"{JOBS}/{answer.json['id']}"


async def locked_at_the_end(
    service: Service, lock: Lock, job: str, reader: ClientResponse
) -> list[dict[str, Any]]:
    """Take the lock while the agent of `job` asks, then let it end; what was told before."""
    told: list[dict[str, Any]] = []
    while not told or told[-1]["type"] != "approval_request":
        told.append(json.loads(await reader.content.readline()))
    lock.take()
    path = f"{job}/approvals/{told[-1]['content']['approval_id']}"
    answer = await service.send(path, {"decision": "allow"})
    assert answer.status == 200, answer.text
    await noticed(service)
    return told


@pytest.mark.parametrize("content", [True, False], ids=["stored", "in memory"])
async def test_a_job_ends_when_the_store_works_again(tmp_path: Path, content: bool) -> None:
    async with locked_later(tmp_path, session={"store_content": content}) as (service, lock):
        job = await begun(service, ASKS)
        async with service.client.get(f"{job}/events", headers=NDJSON) as reader:
            told = await locked_at_the_end(service, lock, job, reader)
            assert (await call(service, "GET", job)).json["status"] == "running"
            lock.give_back()
            told += [json.loads(line) for line in (await reader.read()).splitlines()]
        assert told[-1]["type"] == "complete"
        assert [event["sequence"] for event in told] == list(range(1, len(told) + 1))
        found = (await call(service, "GET", job)).json
        assert found["status"] == "completed"
        assert found["result"]["output"].endswith("done")
        text = "".join(e["content"]["text"] for e in told if e["type"] == "message")
        assert text == found["result"]["output"]
        assert (await call(service, "GET", f"{job}/events?after={len(told)}")).status == 204
        assert (await call(service, "DELETE", job)).json["deleted"]
    files = (tmp_path / "home" / ".clinvk").glob("clinvk.db*")
    assert content or not any(b"[[ask" in file.read_bytes() for file in files)


async def test_a_job_that_is_stopped_meanwhile_says_so(tmp_path: Path) -> None:
    async with locked_later(tmp_path) as (service, lock):
        job = await begun(service, {"backend": "echo", "prompt": "[[slow 600]]first then"})
        async with service.client.get(f"{job}/events", headers=NDJSON) as reader:
            await reader.content.readuntil(b'"first "')
            lock.take()
            for _ in "ab":
                answer = await call(service, "DELETE", job)
                assert (answer.status, answer.error["code"]) == (503, "store_unavailable")
            lock.give_back()
            await reader.read()
        found = (await call(service, "GET", job)).json
        assert (found["status"], found["error"]["code"]) == ("canceled", "canceled")


async def test_a_job_that_cannot_begin_waits(tmp_path: Path) -> None:
    async with locked_later(tmp_path, parallel={"max_jobs": 1}) as (service, lock):
        first = await begun(service, ASKS)
        second = await begun(service, {"backend": "echo", "prompt": "second"})
        third = await begun(service, {"backend": "echo", "prompt": "third"})
        async with service.client.get(f"{first}/events", headers=NDJSON) as reader:
            await locked_at_the_end(service, lock, first, reader)
            assert (await call(service, "DELETE", third)).status == 503
            assert (await call(service, "GET", second)).json["status"] == "queued"
            lock.give_back()
        for job, status in ((first, "completed"), (second, "completed"), (third, "canceled")):
            await call(service, "GET", f"{job}/events")
            assert (await call(service, "GET", job)).json["status"] == status


async def test_a_daemon_that_stops_waits_no_longer(tmp_path: Path) -> None:
    async with locked_later(tmp_path) as (service, lock):
        job = await begun(service, ASKS)
        async with service.client.get(f"{job}/events", headers=NDJSON) as reader:
            await locked_at_the_end(service, lock, job, reader)
            assert isinstance(service.client.server, TestServer)
            await service.client.server.app.cleanup()
        lock.give_back()
    async with serving(tmp_path) as service:
        assert (await call(service, "GET", job)).json["status"] == "interrupted"


@pytest.mark.parametrize("headers", [KEY, {**KEY, **NDJSON}], ids=["whole", "streamed"])
async def test_a_keyed_answer_is_given_and_kept_later(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    body = {"backend": "echo", "prompt": "carried out once"}
    async with locked_later(tmp_path) as (service, lock):
        service.engine.observers.append(lambda _: lock.take())
        first = await service.post(body, headers)
        assert first.status == 200
        assert "once" in first.text
        # The store does what it is asked in order: when this fails, keeping the answer has failed.
        again = await service.post(body, headers)
        assert (again.status, again.error["code"]) == (503, "store_unavailable")
        lock.give_back()

        async def is_there() -> bool:
            answer = await service.post(body, headers)
            if answer.status == 409:
                assert "not stored yet" in answer.error["message"]
                return False
            assert answer.text == first.text
            assert answer.headers["Idempotency-Replayed"] == "true"
            return True

        await eventually(is_there)
        assert service.turns() == 1


async def test_a_key_whose_request_failed_is_free_later(tmp_path: Path) -> None:
    body = {"backend": "echo", "prompt": "[[fail broken]]"}
    async with locked_later(tmp_path) as (service, lock):
        observers = service.engine.observers
        observers.append(lambda _: lock.take())
        assert (await service.post(body, KEY)).status == 500
        observers.pop()
        lock.give_back()
        turns = service.turns()

        async def runs_again() -> bool:
            answer = await service.post(body, KEY)
            assert answer.status in (409, 500)
            return answer.status == 500

        await eventually(runs_again)
        assert service.turns() == turns + 1


async def test_who_leaves_before_the_key_is_claimed_claims_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.engine.store.ready()
        worker, gate = service.engine.store._worker, Event()
        app = web.Application()
        app[ENGINE] = service.engine
        request = make_mocked_request("POST", "/x", KEY, app=app, payload=EMPTY_PAYLOAD)
        request[CALLER] = OWNER

        async def carry_out(_: web.Request) -> web.StreamResponse:
            raise AssertionError("nobody is there any more")

        busy = worker.submit(lambda _: gate.wait(), writes=False)
        await until(worker._calls.empty)

        async def ask() -> None:
            await idempotency(Settings(), app)(request, carry_out)

        asking = asyncio.get_running_loop().create_task(ask())
        await until(lambda: not worker._calls.empty())
        asking.cancel()
        gate.set()
        await busy
        with pytest.raises(asyncio.CancelledError):
            await asking
        digest = hashlib.sha256(b"").hexdigest()
        claim = Claim(owner=OWNER.name, route="POST /x", key="k", body_digest=digest)

        async def is_free() -> bool:
            return await service.engine.store.idempotency.claim(claim, 1.0) is None

        await eventually(is_free)
