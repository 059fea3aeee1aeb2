"""What a service manager is told: ready, reloading, stopping, and that the loop is alive."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from clinvkd.service.notify import ServiceManager

from ..daemon import PATIENCE
from .manager import Inbox, inbox, start, started, stopped

ECHO = "default_backend: echo\n"


async def test_a_daemon_tells_of_its_whole_life(tmp_path: Path) -> None:
    with inbox() as messages:
        async with started(tmp_path, messages, config=ECHO) as process:
            process.send_signal(signal.SIGHUP)
            reloading = await messages.message()
            assert reloading["RELOADING"] == "1"
            assert 0 < int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
            ready = await messages.message()
            assert ready["READY"] == "1"
            assert ready["STATUS"].startswith("Listening on 127.0.0.1:")
            assert ready["STATUS"].endswith("default backend: echo.")
            process.terminate()
            stopping = await messages.message()
            assert stopping["STOPPING"] == "1"
            assert int(stopping["EXTEND_TIMEOUT_USEC"]) > 10_000_000  # the grace of running turns
            status, out, _ = await stopped(process)
            assert (status, out) == (0, b"")  # no banner: nobody sits in front of a service
            assert messages.waiting() == []


async def test_a_wrong_configuration_is_never_ready(tmp_path: Path) -> None:
    with inbox() as messages:
        process = await start(tmp_path, config="prot: 1\n", NOTIFY_SOCKET=messages.address)
        status, _, err = await stopped(process)
        assert status == 78
        assert b"prot: unknown key" in err
        assert messages.waiting() == []


async def test_a_daemon_reports_to_the_watchdog_while_it_works(tmp_path: Path) -> None:
    with inbox() as messages:
        async with started(tmp_path, messages, config=ECHO, WATCHDOG_USEC="200000") as process:
            for _ in range(3):
                assert await messages.message_with("WATCHDOG") == {"WATCHDOG": "1"}
            process.terminate()
            assert (await stopped(process))[0] == 0


@pytest.fixture
def messages() -> object:
    with inbox() as opened:
        yield opened


def told_to(messages: Inbox, **more: str) -> ServiceManager:
    environ = {"NOTIFY_SOCKET": messages.address, "KEPT": "yes", **more}
    manager = ServiceManager(environ)
    assert environ == {"KEPT": "yes"}
    return manager


async def test_a_blocked_loop_is_silent(messages: Inbox) -> None:
    manager = told_to(messages, WATCHDOG_USEC="20000", WATCHDOG_PID=str(os.getpid()))
    manager.watch()
    for _ in range(3):
        await messages.message()
    messages.waiting()
    time.sleep(0.1)  # noqa: ASYNC251 - this is the blocked loop
    assert messages.waiting() == []
    await messages.message()
    manager.unwatch()
    messages.waiting()
    await asyncio.sleep(0.05)
    assert messages.waiting() == []


@pytest.mark.parametrize(
    "more", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"}]
)
async def test_without_a_watchdog_of_ours_nothing_is_reported(
    messages: Inbox, more: dict[str, str]
) -> None:
    manager = told_to(messages, **more)
    manager.watch()
    await asyncio.sleep(0.01)
    manager.unwatch()
    assert messages.waiting() == []


async def test_a_manager_that_reads_nothing_stops_nothing(messages: Inbox) -> None:
    manager = told_to(messages, WATCHDOG_USEC="2")
    manager.watch()
    async with asyncio.timeout(PATIENCE):
        for _ in range(2000):  # far more than there is room for
            await asyncio.sleep(0)
    manager.unwatch()
    assert {"WATCHDOG=1"} == {each.decode() for each in messages.waiting()}


async def test_the_address_may_be_abstract() -> None:
    opened = Inbox(f"@clinvk-test-{os.getpid()}")
    try:
        told_to(opened).ready("fine")
        assert await opened.message() == {"READY": "1", "STATUS": "fine"}
    finally:
        opened.close()


@pytest.mark.parametrize("address", ["", "relative", "/nonexistent/notify"])
def test_where_nobody_listens_nothing_happens(address: str) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": address})
    manager.ready("fine")
    manager.stopping(1)
    assert manager.listens == address.startswith("/")
