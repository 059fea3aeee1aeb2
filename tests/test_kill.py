"""What a real daemon has acknowledged is there after `kill -9` at any point, whole and once.

Twenty rounds; `CLINVK_TEST_KILLS` says how many else. Every round starts the daemon on the same
files, loads it with prompts, chats, jobs and deletes, kills it after a random number of answers,
and looks into the store. The seed of a failing run is printed with its failure.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession

from clinvkd.store import SessionQuery, Store

from .daemon import PATIENCE, Daemon, daemon

ROUNDS = int(os.environ.get("CLINVK_TEST_KILLS", "20"))
CALLERS = 6
MOST_ANSWERS = 60
CONFIG = """
default_backend: echo
pool: {spares: 0, parked: 8}
backends: {local: {enabled: false}}
log: {level: error}
"""


@dataclass
class Talk:
    """A conversation as its caller knows it.

    Attributes:
        said: what was said in turns that were acknowledged; every answer repeats it.
        uncertain: what was said in a turn whose end the caller never saw, or None.
        session_id: of a session; None for a chat, which is found by its first words.
        deleted: whether the session was deleted; None when the caller does not know.
    """

    said: list[str] = field(default_factory=list)
    uncertain: str | None = None
    session_id: str | None = None
    deleted: bool | None = False


@dataclass
class Ledger:
    """What callers know.

    Attributes:
        jobs: the last status they saw of each job.
    """

    talks: list[Talk] = field(default_factory=list)
    jobs: dict[str, str] = field(default_factory=dict)
    answers: int = 0


class Caller:
    """Does one thing after another until the daemon is gone."""

    def __init__(self, ledger: Ledger, daemon: Daemon, client: ClientSession, seed: str) -> None:
        self._ledger = ledger
        self._url = daemon.url
        self._client = client
        self._random = random.Random(seed)
        self._name = seed
        self._number = 0
        # It goes on with what others began before the daemon was killed.
        number = CALLERS * 3
        self._talks = [
            talk for talk in ledger.talks[-number:] if not talk.uncertain and talk.deleted is False
        ]

    async def run(self, answered: asyncio.Event, most: int) -> None:
        acts = (self.prompt, self.prompt, self.go_on, self.chat, self.job, self.delete)
        try:
            while True:
                await self._random.choice(acts)()
                self._ledger.answers += 1
                if self._ledger.answers >= most:
                    answered.set()
        except (ClientError, ConnectionError, TimeoutError):
            pass  # killed

    async def prompt(self) -> None:
        await self._prompt(self._new_talk())

    async def go_on(self) -> None:
        if (talk := self._taken()) is not None:
            await self._prompt(talk)
            self._talks.append(talk)

    async def chat(self) -> None:
        talk = self._new_talk()
        for _ in range(self._random.randint(1, 3)):
            history = [
                {"role": role, "content": text}
                for text in talk.said
                for role in ("user", "assistant")
            ]
            talk.uncertain = self._words()
            messages = [*history, {"role": "user", "content": talk.uncertain}]
            body = {"model": "echo", "messages": messages}
            await self._post("/openai/v1/chat/completions", body)
            talk.said.append(talk.uncertain)
            talk.uncertain = None

    async def job(self) -> None:
        body = {"backend": "echo", "prompt": self._words(), "background": True}
        job = await self._post("/api/v1/prompt", body)
        self._ledger.jobs[job["id"]] = job["status"]
        for _ in range(self._random.randint(0, 5)):
            async with self._client.get(f"{self._url}/api/v1/jobs/{job['id']}") as response:
                self._ledger.jobs[job["id"]] = (await response.json())["status"]

    async def delete(self) -> None:
        if (talk := self._taken()) is not None:
            talk.deleted = None
            url = f"{self._url}/api/v1/sessions/{talk.session_id}"
            async with self._client.delete(url) as response:
                assert response.status == 200, await response.text()
            talk.deleted = True

    async def _prompt(self, talk: Talk) -> None:
        talk.uncertain = self._words()
        body: dict[str, Any] = {"backend": "echo", "prompt": talk.uncertain}
        if talk.session_id:
            body["session_id"] = talk.session_id
        answer = await self._post("/api/v1/prompt", body)
        talk.session_id = answer["session_id"]
        talk.said.append(talk.uncertain)
        talk.uncertain = None

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        async with self._client.post(self._url + path, json=body) as response:
            assert response.status in (200, 202), await response.text()
            return await response.json()

    def _new_talk(self) -> Talk:
        talk = Talk()
        self._ledger.talks.append(talk)
        return talk

    def _taken(self) -> Talk | None:
        """A session that only this caller uses; it must give it back."""
        self._talks = [talk for talk in self._talks if talk.session_id]
        if not self._talks:
            return None
        return self._talks.pop(self._random.randrange(len(self._talks)))

    def _words(self) -> str:
        self._number += 1
        return f"words {self._name} {self._number} end"


async def load_and_kill(home: Path, ledger: Ledger, seed: str) -> None:
    chance = random.Random(seed)
    most = ledger.answers + chance.randint(1, MOST_ANSWERS)
    answered = asyncio.Event()
    async with daemon(home, CONFIG) as running, ClientSession() as client:
        if not running.banner[0]:
            await running.ended()
            pytest.fail(f"the daemon did not start again: {running.log}")
        await check_jobs(running, client, ledger, MOST_ANSWERS)
        callers = [Caller(ledger, running, client, f"{seed}-{n}") for n in range(CALLERS)]
        for number, caller in enumerate(callers):  # nobody shares a session
            caller._talks = caller._talks[number::CALLERS]
        async with asyncio.TaskGroup() as group:
            for caller in callers:
                group.create_task(caller.run(answered, most))
            async with asyncio.timeout(PATIENCE):
                await answered.wait()
            await asyncio.sleep(chance.uniform(0, 0.02))
            running.process.kill()
        await running.process.wait()


async def check_jobs(
    running: Daemon, client: ClientSession, ledger: Ledger, most: int | None = None
) -> None:
    """After a restart a job that had ended is as it was, and the others have ended as well.

    Args:
        most: how many of the newest to look at; None for all.
    """
    for name, seen in list(ledger.jobs.items())[-(most or 0) :]:
        async with client.get(f"{running.url}/api/v1/jobs/{name}") as response:
            assert response.status == 200, f"job {name} is lost"
            status = (await response.json())["status"]
        final = seen not in ("queued", "running")
        assert status == seen if final else status in ("completed", "interrupted"), (seen, status)
        ledger.jobs[name] = status


async def check_store(path: Path, ledger: Ledger, talks: list[Talk]) -> None:
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    store = Store.open(path)
    try:
        assert store.set_aside is None
        for talk in talks:
            await check_talk(store, talk)
    finally:
        await store.aclose()


async def check_talk(store: Store, talk: Talk) -> None:
    """All that was acknowledged is there, and of the rest a whole turn or nothing."""
    found = await texts_of(store, talk)
    if found is None:
        assert talk.deleted is not False or not talk.said, f"lost: {talk}"
        return
    assert talk.deleted is not True, f"came back: {talk}"
    whole = [text for text in talk.said for _ in range(2)]
    more = [] if talk.uncertain is None else [talk.uncertain] * 2
    assert found in (whole, whole + more), f"{found} instead of {talk}"
    # What could be seen after a restart is there for good.
    talk.said = found[::2]
    talk.uncertain = None
    talk.deleted = False if talk.deleted is None else talk.deleted


async def texts_of(store: Store, talk: Talk) -> list[str] | None:
    session_id = talk.session_id
    if session_id is None:
        first = [*talk.said, talk.uncertain][0]
        page = await store.sessions.list(SessionQuery(owner=None, q=first))
        assert page.total <= 1, f"recorded twice: {talk}"
        if not page.total:
            return None
        session_id = page.sessions[0].id
    session = await store.sessions.get(session_id, None)
    if session is None:
        return None
    messages = await store.sessions.messages(session_id, None)
    assert session.message_count == len(messages) == 2 * session.turn_count
    return [each.message.text for each in messages]


@pytest.mark.timeout(60 + 15 * ROUNDS)
async def test_what_was_acknowledged_survives_kills_at_random_points(tmp_path: Path) -> None:
    seed = os.environ.get("CLINVK_TEST_SEED") or str(random.randrange(10**9))
    print(f"CLINVK_TEST_SEED={seed}")
    path = tmp_path / ".clinvk" / "clinvk.db"
    ledger = Ledger()
    for number in range(ROUNDS):
        checked = len(ledger.talks)
        await load_and_kill(tmp_path, ledger, f"{seed}-{number}")
        await check_store(path, ledger, ledger.talks[max(0, checked - 3 * CALLERS) :])
    await check_store(path, ledger, ledger.talks)
    async with daemon(tmp_path, CONFIG) as running, ClientSession() as client:
        await check_jobs(running, client, ledger)
    assert ledger.answers >= ROUNDS
