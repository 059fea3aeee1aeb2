"""`clinvk` as a person runs it against a daemon: real processes, on pipes or on a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import sys
import termios
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 60.0

_ON_TERMINAL = (
    "import fcntl, os, sys, termios;"
    "os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.executable, [sys.executable, '-m', 'clinvkd', *sys.argv[1:]])"
)


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    status: int | None
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The error that the document tells."""
        (error,) = self.json.values()
        assert set(error) == {"code", "message", "param", "type"}
        return error


@dataclass(frozen=True, slots=True)
class Commands:
    """Runs commands in one environment."""

    environ: Mapping[str, str]
    directory: Path

    def with_variables(self, **more: str) -> Commands:
        """The same with other variables."""
        return Commands({**self.environ, **more}, self.directory)

    async def __call__(self, *arguments: str, stdin: str | bytes | None = None) -> Done:
        """Run a command to its end."""
        process = await self.begin(*arguments, stdin=DEVNULL if stdin is None else PIPE)
        data = stdin.encode() if isinstance(stdin, str) else stdin
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate(data)
        assert b"Traceback" not in err, err.decode()
        return Done(process.returncode, out.decode(), err.decode())

    async def succeed(self, *arguments: str, stdin: str | bytes | None = None) -> Done:
        """The same; it must succeed."""
        done = await self(*arguments, stdin=stdin)
        assert done.status == 0, done
        return done

    async def begin(self, *arguments: str, stdin: int = DEVNULL) -> Process:
        """Start a command."""
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "clinvkd", *arguments,
            stdin=stdin, stdout=PIPE, stderr=PIPE, env=dict(self.environ), cwd=self.directory,
        )  # fmt: skip

    @contextlib.asynccontextmanager
    async def on_terminal(self, *arguments: str, columns: int = 120) -> AsyncIterator[Screen]:
        """Run a command on a terminal of its own; killed afterwards if it still runs."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _ON_TERMINAL, *arguments,
            stdin=theirs, stdout=theirs, stderr=theirs,
            env={**self.environ, "TERM": "xterm"}, cwd=self.directory,
        )  # fmt: skip
        os.close(theirs)
        try:
            yield Screen(process, ours)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            os.close(ours)


class Screen:
    """What a command on a terminal writes, and the keyboard before it."""

    def __init__(self, process: Process, ours: int) -> None:
        self._process = process
        self._ours = ours
        self.text = ""
        self._seen = 0

    def type(self, text: str) -> None:
        """Type a text; control characters are those of the keys."""
        os.write(self._ours, text.encode())

    async def shows(self, text: str) -> str:
        """Wait until the screen shows a text after what it showed before; what came up to it."""
        async with asyncio.timeout(PATIENCE):
            while (place := self.text.find(text, self._seen)) < 0:
                read = await self._read()
                assert read, f"the screen ended without {text!r}: {self.text!r}"
        before = self.text[self._seen : place]
        self._seen = place + len(text)
        return before

    async def ends(self, key: str = "") -> int:
        """Wait for the end of the command; its exit status. The rest of the screen is read.

        Args:
            key: pressed every second until then, because Python loses a signal that comes just
                before it waits for a line.
        """
        more = True
        async with asyncio.timeout(PATIENCE):
            while more:
                if key:
                    self.type(key)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1 if key else None):
                        while more := await self._read():
                            pass
            return await self._process.wait()

    async def _read(self) -> bool:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._ours, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._ours)
        try:
            read = os.read(self._ours, 65536)
        except OSError:  # the other end is closed
            return False
        self.text += read.decode(errors="replace")
        return bool(read)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something has happened in the daemon, which tells nobody."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - it has to be asked
            await asyncio.sleep(0.05)


async def interrupted(process: Process, number: int = signal.SIGINT) -> Done:
    """Send a signal, and read what the command still says."""
    process.send_signal(number)
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    assert b"Traceback" not in err, err.decode()
    return Done(process.returncode, out.decode(), err.decode())
