"""A service manager of our own: it listens for messages, and starts daemons with sockets."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from ..daemon import PATIENCE, environment

_LAUNCHER = """
import os, sys
numbers = [int(number) for number in sys.argv[1].split(",") if number]
for place, number in enumerate(numbers, 3):
    os.dup2(number, place)
if numbers:
    os.environ.setdefault("LISTEN_PID", str(os.getpid()))
    os.environ["LISTEN_FDS"] = str(len(numbers))
os.execv(sys.executable, [sys.executable, "-m", "clinvkd", "serve", *sys.argv[2:]])
"""
_HIGH = 100  # the descriptors that are passed get out of each other's way


class Inbox:
    """Where messages of sd_notify come in."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)

    async def message(self) -> dict[str, str]:
        """The next message, as a mapping."""
        async with asyncio.timeout(PATIENCE):
            data = await asyncio.get_running_loop().sock_recv(self._socket, 4096)
        return dict(line.split("=", 1) for line in data.decode().split("\n"))

    async def message_with(self, name: str) -> dict[str, str]:
        """The next message that has a field."""
        while name not in (found := await self.message()):
            pass
        return found

    def waiting(self) -> list[bytes]:
        """What has come and was not taken."""
        found = []
        try:
            while True:
                found.append(self._socket.recv(4096))
        except BlockingIOError:
            return found

    def close(self) -> None:
        self._socket.close()


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for the name of a socket."""
    folder = Path(tempfile.mkdtemp(prefix="clinvk-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def inbox() -> Iterator[Inbox]:
    with short_folder() as folder:
        opened = Inbox(str(folder / "notify"))
        try:
            yield opened
        finally:
            opened.close()


async def start(
    home: Path, *arguments: str, sockets: Sequence[socket.socket] = (), config: str = "",
    **more: str,
) -> Process:  # fmt: skip
    """Start a daemon with these sockets as systemd passes them."""
    (home / ".clinvk").mkdir(parents=True, exist_ok=True)
    (home / ".clinvk" / "config.yaml").write_text(config)
    (home / "tmp").mkdir(exist_ok=True)
    passed = [fcntl.fcntl(each.fileno(), fcntl.F_DUPFD, _HIGH) for each in sockets]
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", _LAUNCHER, ",".join(map(str, passed)), *arguments,
            env=environment(home, home / "tmp", **more), pass_fds=passed,
            stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=PIPE,
        )  # fmt: skip
    finally:
        for number in passed:
            os.close(number)


@asynccontextmanager
async def started(
    home: Path, messages: Inbox, *, sockets: Sequence[socket.socket] = (), config: str = "",
    **more: str,
) -> AsyncIterator[Process]:  # fmt: skip
    """A daemon that has said it is ready; killed afterwards if it still runs."""
    process = await start(
        home, "--port", "0", sockets=sockets, config=config,
        NOTIFY_SOCKET=messages.address, **more,
    )  # fmt: skip
    try:
        await messages.message_with("READY")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def stopped(process: Process) -> tuple[int | None, bytes, bytes]:
    """Exit status and outputs of a daemon that was told to stop, or stops by itself."""
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    return process.returncode, out, err
