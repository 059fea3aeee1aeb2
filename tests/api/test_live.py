"""The live feed: what it tells, to whom, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from clinvkd.keys import Key, KeyRing, Scopes

from ..daemon import ask, daemon
from .live import LIVE, Watching, watching
from .service import PATIENCE, PROMPT, SSE, Service, serving, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


def key(name: str, **scopes: Any) -> Key:
    return Key(name, Key.of(f"key-of-{name}").digest, Scopes(**scopes))


def by(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer key-of-{name}"}


RING = KeyRing(
    [
        key("alice"),
        key("bob"),
        key("chief", every_session=True),
        key("narrow", backends=frozenset({"claude"})),
    ]
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def keyed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    async with serving(tmp_path_factory.mktemp("live"), RING) as running:
        yield running


async def test_the_first_event_tells_everything(service: Service) -> None:
    await service.text("hi")
    async with watching(service) as feed:
        snapshot = feed.told[0].data
    echo = next(backend for backend in snapshot["backends"] if backend["name"] == "echo")
    assert (echo["type"], echo["available"], echo["reason"]) == ("acp", True, None)
    agent = next(agent for agent in snapshot["agents"] if agent["backend"] == "echo")
    assert agent["state"] in ("starting", "spare", "idle", "parked", "busy")
    assert agent["age_seconds"] >= 0
    assert snapshot["limits"]["echo"]["agents"] >= 1
    assert snapshot["queue"]["waiting"] == 0
    assert snapshot["queue"]["limit"] == sum(one["queue"] for one in snapshot["limits"].values())


async def test_a_turn_from_its_begin_to_its_end(service: Service) -> None:
    async with watching(service) as feed:
        answer = await service.post(prompt="one two three")
        started = await feed.until("turn.started")
        ended = await feed.until("turn.ended")
        request = await feed.until("request")
    assert feed.text(started["id"]) == "one two three"
    assert started["session_id"] == answer.json["session_id"]
    assert started["way"] in ("continue", "seed", "start")
    assert (started["backend"], started["dialect"], started["key"]) == ("echo", "native", "")
    assert started["prompt"] == "one two three"
    assert (ended["id"], ended["outcome"]) == (started["id"], "completed")
    assert ended["usage"] == answer.json["token_usage"]
    assert ended["duration_seconds"] >= 0
    assert "error" not in ended
    assert (request["method"], request["path"], request["status"]) == ("POST", PROMPT, 200)
    assert request["request_id"] == answer.headers["X-Request-Id"]
    assert feed.names().index("turn.started") < feed.names().index("turn.text")


async def test_turns_of_all_apis_are_told(service: Service) -> None:
    chat = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
    async with watching(service) as feed:
        for path, body, dialect in (
            ("/openai/v1/chat/completions", chat, "openai"),
            ("/openai/v1/chat/completions", {**chat, "stream": True, "n": 2}, "openai"),
            ("/openai/v1/responses", {"model": "echo", "input": "hi"}, "openai"),
            ("/anthropic/v1/messages", {**chat, "max_tokens": 9}, "anthropic"),
            ("/api/v1/compare", {"backends": ["echo"], "prompt": "hi"}, "native"),
        ):
            assert (await service.send(path, body)).status == 200
            assert (await feed.until("turn.started"))["dialect"] == dialect
            assert (await feed.until("request"))["dialect"] == dialect


async def test_turns_that_end_badly_say_why(service: Service) -> None:
    async with watching(service) as feed:
        await service.post(prompt="[[fail no way]]")
        failed = await feed.until("turn.ended")
        assert failed["outcome"] == "failed"
        assert failed["error"]["code"] == "backend_error"
        assert "no way" in failed["error"]["message"]

        await service.post(prompt="hi", backend="claude")
        started = await feed.until("turn.started")
        assert "way" not in started
        unavailable = await feed.until("turn.ended")
        assert (unavailable["id"], unavailable["outcome"]) == (started["id"], "failed")
        assert unavailable["error"]["code"] == "backend_unavailable"

        body = {"backend": "echo", "prompt": "[[slow 600]]one two"}
        async with service.client.post(PROMPT, json=body, headers=SSE):
            left = await feed.until("turn.started")
        assert await feed.until("turn.ended", lambda end: bool(end["outcome"] == "canceled"))
        assert feed.told[-1].data["id"] == left["id"]


async def test_a_running_turn_is_told_to_who_comes_later(service: Service) -> None:
    body = {"backend": "echo", "prompt": "[[slow 600]]one two"}
    async with (
        watching(service) as early,
        service.client.post(PROMPT, json=body, headers=SSE),
    ):
        started = await early.until("turn.started")
        await early.until("turn.text")
        async with watching(service) as late:
            assert await late.until("turn.started") == started
            assert await late.until("turn.text") == {"id": started["id"], "text": "one "}
        async with watching(service, once="true") as now:
            told = await now.rest()
        assert [one.name for one in told] == ["snapshot", "turn.started", "turn.text"]
        agents = [agent for agent in told[0].data["agents"] if started["id"] in agent["turn_ids"]]
        assert [agent["state"] for agent in agents] == ["busy"]
    await service.idle()


async def test_a_burst_is_told_in_few_events_and_its_end_is_not_missing(service: Service) -> None:
    async with watching(service) as feed:
        whole = await service.text("[[long 20000]]")
        await feed.until("turn.ended")
    texts = [told.data for told in feed.told if told.name == "turn.text"]
    assert len(texts) < 2000
    assert all(len(one["text"]) <= 2048 for one in texts)
    assert sum(len(one["text"]) + one.get("dropped", 0) for one in texts) == len(whole)
    assert whole.endswith(texts[-1]["text"])
    assert any("dropped" in one for one in texts)


async def test_a_key_sees_its_own(keyed: Service) -> None:
    async with (
        watching(keyed, by("alice")) as alice,
        watching(keyed, by("chief")) as chief,
        watching(keyed, by("narrow")) as narrow,
    ):
        body = {"backend": "echo", "prompt": "[[slow 600]]hidden hidden"}
        async with keyed.client.post(PROMPT, json=body, headers={**SSE, **by("bob")}):
            bobs = await chief.until("turn.started")
            assert bobs["key"] == "bob"
            await chief.until("snapshot", lambda state: bobs["id"] in str(state["agents"]))
            await keyed.post(prompt="mine", headers=by("alice"))
            own = await alice.until("turn.started")
            async with watching(keyed, by("alice"), once="true") as now:
                (state,) = [told.data for told in await now.rest()]
        await keyed.idle()
        await chief.until("turn.started", lambda turn: bool(turn["id"] == own["id"]))
        await chief.until("request", lambda request: bool(request.get("key") == "bob"))
        last = (await keyed.post(prompt="last", headers=by("alice"))).headers["X-Request-Id"]
        await alice.until("request", lambda request: bool(request["request_id"] == last))
    assert (own["key"], own["prompt"]) == ("alice", "mine")
    assert [agent["turn_ids"] for agent in state["agents"] if agent["state"] == "busy"] == [[]]
    assert bobs["id"] not in str(alice.told)
    assert "hidden" not in str(alice.told)
    assert "bob" not in str(alice.told)
    seen = narrow.told[0].data
    assert [backend["name"] for backend in seen["backends"]] == ["claude"]
    assert (seen["agents"], list(seen["limits"])) == ([], ["claude"])


async def test_without_a_key_nobody_watches(keyed: Service) -> None:
    async with keyed.client.get(LIVE) as response:
        assert response.status == 401


async def test_an_agent_that_is_killed_goes_and_comes_back(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, watching(service) as feed:
        await service.text("hi")

        def ready(snapshot: Any) -> list[Any]:
            return [
                agent
                for agent in snapshot["agents"]
                if agent["backend"] == "echo" and agent["state"] not in ("starting", "stopping")
            ]

        before = ready(await feed.until("snapshot", lambda state: bool(ready(state))))
        pids = {agent["pid"] for agent in before}
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

        def replaced(snapshot: Any) -> bool:
            return bool(ready(snapshot)) and not pids & {a["pid"] for a in snapshot["agents"]}

        await feed.until("snapshot", replaced)
        assert await service.text("again") == "again"


async def test_it_costs_nothing_when_nobody_watches(service: Service) -> None:
    live = service.engine.live
    await until(lambda: (live.watched, live.requests) == (0, 0))  # earlier ones have left
    async with watching(service):
        assert (live.ticking, live.watched, live.requests) == (True, 1, 0)
    await until(lambda: live.watched == 0)
    assert (live.ticking, len(live.turns)) == (False, 0)


async def test_a_head_has_no_body(service: Service) -> None:
    """The next answer on the same connection is not mixed up with one."""
    head = b"HEAD /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    more = b"GET /api/v1/nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    _, text = await service.raw(head + more)
    first, _, second = text.partition("\r\n\r\n")
    assert first.startswith("HTTP/1.1 200")
    assert "text/event-stream" in first
    assert second.startswith("HTTP/1.1 404")


async def test_what_is_asked_wrongly_is_refused(service: Service) -> None:
    async with service.client.get(LIVE, params={"once": "perhaps"}) as response:
        assert response.status == 400
        assert (await response.json())["error"]["param"] == "once"


async def test_it_ends_when_the_daemon_stops(tmp_path: Path) -> None:
    async with daemon(tmp_path, "default_backend: echo\n") as running, ClientSession() as client:
        async with client.get(running.url + LIVE) as response:
            feed = Watching(response)
            await feed.until("snapshot")
            await ask(running, "hi")
            await feed.until("turn.ended")
            running.signal(signal.SIGTERM)
            await feed.rest()
        assert await running.ended() == 0
        lines = [line for line in running.log if line.get("route") == "/api/v1/live"]
        assert [(line["event"], line["status"]) for line in lines] == [("request", 200)]


async def test_many_watch_at_once(service: Service) -> None:
    async def watch_one(begun: asyncio.Barrier) -> str:
        async with watching(service) as feed:
            await begun.wait()
            turn = await feed.until("turn.started", lambda one: bool(one["prompt"] == "all see"))
            await feed.until("turn.ended", lambda one: bool(one["id"] == turn["id"]))
            return feed.text(turn["id"])

    barrier = asyncio.Barrier(11)
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        watchers = [group.create_task(watch_one(barrier)) for _ in range(10)]
        await barrier.wait()
        await service.text("all see")
    assert [task.result() for task in watchers] == ["all see"] * 10
