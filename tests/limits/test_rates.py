"""Token buckets, in memory and in a real Redis that comes and goes."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from clinvkd.limits import Limiter, Rate, rates

ONE_AN_HOUR = Rate(per_second=1 / 3600, burst=3)
REDIS = shutil.which("redis-server") or shutil.which("valkey-server")

needs_redis = pytest.mark.skipif(REDIS is None, reason="redis-server is not installed")


@contextmanager
def redis_server(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    assert REDIS is not None
    socket = folder / "redis.sock"
    command = [
        REDIS,
        "--port",
        "0",
        "--unixsocket",
        str(socket),
        "--save",
        "",
        "--dir",
        str(folder),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            while b"eady to accept connections" not in process.stdout.readline():
                assert process.poll() is None
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


@pytest_asyncio.fixture
async def memory() -> AsyncIterator[Limiter]:
    limiter = Limiter()
    yield limiter
    await limiter.aclose()


async def test_a_bucket_holds_its_burst(memory: Limiter) -> None:
    verdicts = [await memory.hit("a", ONE_AN_HOUR) for _ in range(4)]
    assert [verdict.allowed for verdict in verdicts] == [True, True, True, False]
    assert [verdict.remaining for verdict in verdicts] == [2, 1, 0, 0]
    assert {verdict.limit for verdict in verdicts} == {3}
    assert 3500 < verdicts[-1].retry_after <= 3600
    assert verdicts[0].full_at < verdicts[1].full_at < verdicts[2].full_at
    assert (await memory.hit("b", ONE_AN_HOUR)).allowed


async def test_it_fills_again(memory: Limiter) -> None:
    quick = Rate(per_second=50, burst=1)
    assert (await memory.hit("a", quick)).allowed
    verdict = await memory.hit("a", quick)
    while not verdict.allowed:
        assert 0 < verdict.retry_after <= 0.021
        await asyncio.sleep(verdict.retry_after)
        verdict = await memory.hit("a", quick)


async def test_rates_do_not_share_a_bucket(memory: Limiter) -> None:
    other = Rate(per_second=1 / 3600, burst=4)
    for _ in range(3):
        assert (await memory.hit("a", ONE_AN_HOUR)).allowed
    assert not (await memory.hit("a", ONE_AN_HOUR)).allowed
    assert (await memory.hit("a", other)).remaining == 3


async def test_requests_at_the_same_time_are_all_counted(memory: Limiter) -> None:
    rate = Rate(per_second=1 / 3600, burst=10)
    verdicts = await asyncio.gather(*(memory.hit("a", rate) for _ in range(50)))
    assert sum(verdict.allowed for verdict in verdicts) == 10


async def test_of_several_rates_the_strictest_is_told() -> None:
    wide, narrow = Rate(per_second=1 / 3600, burst=10), Rate(per_second=1 / 3600, burst=2)
    waiting, at_once = Limiter(), Limiter()
    for remaining, allowed in ((1, True), (0, True), (0, False)):
        for order in ((wide, narrow), (narrow, wide)):
            name = "".join(str(rate.burst) for rate in order)
            told = await waiting.strictest(name, order)
            same = at_once.hit_at_once(name, order)
            assert same is not None
            assert (told.allowed, told.remaining, told.limit) == (allowed, remaining, 2)
            assert (same.allowed, same.remaining, same.limit) == (allowed, remaining, 2)


async def test_what_refuses_takes_nothing_from_the_next() -> None:
    limiter = Limiter()
    narrow, wide = Rate(per_second=1 / 3600, burst=1), Rate(per_second=1 / 3600, burst=10)
    for _ in range(5):
        limiter.hit_at_once("a", (narrow, wide))
    left = limiter.hit_at_once("a", (wide,))
    assert left is not None
    assert left.remaining == 8


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis on a busy machine is no Redis that hangs."""
    monkeypatch.setattr(rates, "_REDIS_SECONDS", 20)


@needs_redis
@pytest.mark.usefixtures("patient")
async def test_daemons_share_what_is_in_redis(tmp_path: Path) -> None:
    with redis_server(tmp_path):
        one, two = (Limiter(f"unix://{tmp_path}/redis.sock") for _ in range(2))
        assert one.hit_at_once("a", (ONE_AN_HOUR,)) is None
        verdicts = [await limiter.hit("a", ONE_AN_HOUR) for limiter in (one, two, one, two)]
        assert [verdict.allowed for verdict in verdicts] == [True, True, True, False]
        assert 3500 < verdicts[-1].retry_after <= 3600
        await one.aclose()
        await two.aclose()


@needs_redis
@pytest.mark.usefixtures("patient")
async def test_without_redis_each_daemon_counts_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "_REDIS_PAUSE", 0.0)
    limiter = Limiter(f"unix://{tmp_path}/redis.sock")
    with redis_server(tmp_path):
        assert (await limiter.hit("a", ONE_AN_HOUR)).remaining == 2
    with capture_logs() as lines:
        verdicts = [await limiter.hit("a", ONE_AN_HOUR) for _ in range(4)]
    assert [verdict.allowed for verdict in verdicts] == [True, True, True, False]
    assert {line["event"] for line in lines} == {"rate limits are not shared"}
    with redis_server(tmp_path):
        assert (await limiter.hit("a", ONE_AN_HOUR)).remaining == 2
        await limiter.aclose()


@needs_redis
async def test_a_redis_that_hangs_is_asked_once_and_left_alone(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        limiter = Limiter(f"unix://{tmp_path}/redis.sock")
        assert (await limiter.hit("a", ONE_AN_HOUR)).allowed
        server.send_signal(signal.SIGSTOP)
        with capture_logs() as lines:
            for _ in range(3):
                assert (await limiter.hit("a", ONE_AN_HOUR)).allowed
        assert len(lines) == 1
        await limiter.aclose()
