"""What was used, as it is told over HTTP and as it limits clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from clinvkd.keys import Key, KeyRing, Scopes
from clinvkd.usage import today

from .service import Answer, Service, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

USAGE = "/api/v1/usage"


def key(name: str, **scopes: Any) -> Key:
    return Key(name, Key.of(f"key-of-{name}").digest, Scopes(**scopes))


def by(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer key-of-{name}"}


RING = KeyRing([key("alice"), key("bob"), key("chief", every_session=True)])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    async with serving(tmp_path_factory.mktemp("usage"), RING) as running:
        for client, prompt in (("alice", "one two"), ("alice", "[[fail no]]"), ("bob", "three")):
            await running.post(prompt=prompt, headers=by(client))
        await running.post(prompt="hi", backend="claude", headers=by("bob"))
        yield running


async def used(service: Service, client: str = "chief", **query: str) -> Answer:
    async with service.client.get(USAGE, params=query, headers=by(client)) as response:
        return await Answer.of(response)


async def test_usage_by_backend(service: Service) -> None:
    answer = (await used(service)).json
    assert list(answer) == ["from", "to", "by", "usage", "total"]
    assert answer["to"] == str(today())
    assert answer["from"] == str(today() - timedelta(days=29))
    claude, echo = answer["usage"]
    assert (claude["backend"], claude["requests"], claude["errors"]) == ("claude", 1, 1)
    assert (echo["backend"], echo["requests"], echo["errors"]) == ("echo", 3, 1)
    assert set(echo) == {"backend", *answer["total"]}
    assert echo["token_usage"]["input_tokens"] >= 3
    assert echo["token_usage"]["output_tokens"] >= 3
    assert (echo["cost_usd"], echo["unpriced_requests"]) == (0, 0)
    assert (answer["total"]["requests"], answer["total"]["errors"]) == (4, 2)


async def test_several_things_are_told_apart(service: Service) -> None:
    answer = (await used(service, by="key,backend,key")).json
    assert answer["by"] == ["key", "backend"]
    assert [(one["key"], one["backend"], one["requests"]) for one in answer["usage"]] == [
        ("alice", "echo", 2), ("bob", "claude", 1), ("bob", "echo", 1),
    ]  # fmt: skip
    (day,) = (await used(service, by="day")).json["usage"]
    assert (day["day"], day["requests"]) == (str(today()), 4)
    models = (await used(service, by="model")).json["usage"]
    assert sum(model["requests"] for model in models) == 4


async def test_a_key_sees_its_own_usage_only(service: Service) -> None:
    for client, number in (("alice", 2), ("bob", 2), ("chief", 4)):
        answer = (await used(service, client, by="key")).json
        assert answer["total"]["requests"] == number
        assert client == "chief" or [one["key"] for one in answer["usage"]] == [client]


async def test_days_are_chosen(service: Service) -> None:
    yesterday = str(today() - timedelta(days=1))
    assert (await used(service, to=yesterday)).json["usage"] == []
    answer = (await used(service, **{"from": str(today()), "to": str(today())})).json
    assert (answer["from"], answer["total"]["requests"]) == (str(today()), 4)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"from": "soon"}, "from"),
        ({"to": "1700000000"}, "to"),
        ({"from": "2026-02-30"}, "from"),
        ({"from": "2026-02-02", "to": "2026-02-01"}, "from"),
        ({"by": "week"}, "by"),
        ({"by": ""}, "by"),
        ({"since": "2026-02-02"}, "since"),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    service: Service, query: dict[str, str], param: str
) -> None:
    answer = await used(service, **query)
    assert (answer.status, answer.error["param"]) == (400, param), answer.text


async def test_it_is_kept_over_a_restart_and_so_are_tokens_per_day(tmp_path: Path) -> None:
    ring = KeyRing([key("alice", tokens_per_day=2)])
    async with serving(tmp_path, ring) as first:
        assert (await first.post(prompt="one two three", headers=by("alice"))).status == 200
        assert (await first.post(prompt="four", headers=by("alice"))).status == 429
    async with serving(tmp_path, ring) as second:
        before = (await used(second, "alice")).json["total"]
        assert (before["requests"], before["errors"]) == (1, 0)
        async with asyncio.timeout(60):
            while not second.engine.quotas.tokens_today("alice"):  # noqa: ASYNC110 - not told
                await asyncio.sleep(0.01)
        refused = await second.post(prompt="five", headers=by("alice"))
        assert (refused.status, refused.error["code"]) == (429, "rate_limited")
        assert (await used(second, "alice")).json["total"] == before


async def test_a_turn_its_caller_left_counts_for_tokens_per_day(tmp_path: Path) -> None:
    ring = KeyRing([key("alice", tokens_per_day=2)])
    headers = {**by("alice"), "Accept": "application/x-ndjson"}
    body = {"backend": "echo", "prompt": "[[slow 600]]some words that are never said"}
    async with serving(tmp_path, ring) as service:
        async with service.client.post("/api/v1/prompt", json=body, headers=headers) as response:
            await response.content.readuntil(b'"some "')
            response.close()
        await service.idle()
        assert service.engine.quotas.tokens_today("alice") > 2
        refused = await service.post(prompt="more", headers=by("alice"))
        assert (refused.status, refused.error["code"]) == (429, "rate_limited")
        assert (await used(service, "alice")).json["total"]["token_usage"]["input_tokens"] > 2
