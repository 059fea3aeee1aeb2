"""Sockets that a service manager opened: taken, checked, and kept over restarts."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientError, ClientSession, UnixConnector

from ..daemon import PATIENCE
from .manager import inbox, short_folder, start, started, stopped

ECHO = "default_backend: echo\n"
RESTARTS = int(os.environ.get("CLINVK_TEST_RESTARTS", "3"))
CALLERS = 8


def tcp(host: str = "127.0.0.1") -> socket.socket:
    return socket.create_server((host, 0), backlog=512)


def url_of(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_it_serves_on_a_port_and_a_unix_socket_that_it_was_given(tmp_path: Path) -> None:
    body = {"backend": "echo", "prompt": "hello"}
    with inbox() as messages, short_folder() as folder, tcp() as port:
        path = folder / "socket"
        with socket.socket(socket.AF_UNIX) as named:
            named.bind(str(path))
            named.listen()
            async with started(tmp_path, messages, sockets=[port, named], config=ECHO) as process:
                connectors = {url_of(port): None, "http://localhost": UnixConnector(str(path))}
                for url, connector in connectors.items():
                    async with (
                        ClientSession(connector=connector) as client,
                        client.post(f"{url}/api/v1/prompt", json=body) as response,
                    ):
                        assert (await response.json())["output"] == "hello"
                listening = {
                    each.laddr
                    for each in psutil.Process(process.pid).net_connections("all")
                    if each.status == psutil.CONN_LISTEN
                }
                assert listening <= {port.getsockname()}  # --port 0 was not opened beside it
                for agent in psutil.Process(process.pid).children(recursive=True):
                    assert not agent.net_connections("tcp")
                process.terminate()
                assert (await stopped(process))[0] == 0
            assert path.is_socket()  # it is the manager's


async def test_what_is_meant_for_another_process_is_left_alone(tmp_path: Path) -> None:
    with inbox() as messages, tcp() as port:
        async with started(
            tmp_path, messages, sockets=[port], config=ECHO, LISTEN_PID="1"
        ) as process:
            (own,) = [
                each.laddr.port
                for each in psutil.Process(process.pid).net_connections("tcp")
                if each.status == psutil.CONN_LISTEN and each.fd != 3
            ]
            assert own != port.getsockname()[1]


def silent() -> socket.socket:
    opened = socket.socket()
    opened.bind(("127.0.0.1", 0))
    return opened


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: tcp("0.0.0.0"), "without API keys only this machine may connect"),
        (lambda: socket.socket(type=socket.SOCK_DGRAM), "it is no listening stream"),
        (silent, "it is no listening stream"),
    ],
)
async def test_what_it_does_not_take(tmp_path: Path, make: object, says: str) -> None:
    assert callable(make)
    with make() as passed:
        process = await start(tmp_path, sockets=[passed])
        status, _, err = await stopped(process)
    assert status == 78
    assert says in err.decode()
    assert "Traceback" not in err.decode()


async def test_a_missing_descriptor_is_told(tmp_path: Path) -> None:
    code = (
        "import os; os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1');"
        "os.closerange(3, 64);"
        "from clinvkd.service.activation import passed_sockets as take; take(os.environ)"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert b"ConfigError: descriptor 3 was passed as a socket: Bad file descriptor" in err


@pytest.mark.timeout(60 + 30 * RESTARTS)
async def test_restarts_under_load_lose_no_request(tmp_path: Path) -> None:
    answered, wanted = 0, 0
    lost: list[str] = []
    enough, done = asyncio.Event(), asyncio.Event()

    async def call(client: ClientSession, url: str, number: int) -> None:
        nonlocal answered
        body = {"backend": "echo", "prompt": f"caller {number}"}
        while not done.is_set():
            try:
                async with client.post(f"{url}/api/v1/prompt", json=body) as response:
                    answer = await response.json()
                    if response.status != 200 or answer["output"] != body["prompt"]:
                        lost.append(f"{response.status} {answer}")
            except (ClientError, OSError) as error:
                lost.append(repr(error))
            answered += 1
            if answered >= wanted:
                enough.set()

    with inbox() as messages, tcp() as port:
        async with ClientSession() as client:
            loop = asyncio.get_running_loop()
            callers = [loop.create_task(call(client, url_of(port), n)) for n in range(CALLERS)]
            for _ in range(RESTARTS):
                async with started(tmp_path, messages, sockets=[port], config=ECHO) as process:
                    wanted = answered + 5 * CALLERS
                    enough.clear()
                    async with asyncio.timeout(PATIENCE):
                        await enough.wait()
                    process.terminate()
                    assert (await stopped(process))[0] == 0
            async with started(tmp_path, messages, sockets=[port], config=ECHO):
                done.set()  # the last requests still get their answers
                await asyncio.gather(*callers)
    assert lost == []
    assert answered >= 5 * CALLERS * RESTARTS
