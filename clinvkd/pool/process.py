"""One subprocess: started in a session of its own, read line by line, and surely ended.

The way from its stdout to whoever wants the lines has no queue and no task: a read's complete
lines are handed over at once, in the read callback. There is no limit on the length of a line
but a large one, because agents repeat whole answers on one line.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from pydantic_core import to_json

from ..workdir import open_directory
from . import descendants
from .cgroup import Cgroup, Cgroups, Limits

MAX_LINE = 256 * 1024 * 1024
"""Bytes without a newline after which the process counts as gone mad."""

_STDERR_LINES = 20
_STDIN_GRACE = 1.0  # seconds an agent has to leave by itself after its stdin was closed
_DRAIN_GRACE = 0.25  # seconds for output that is still in the pipe after the process ended

NO_LIMITS = Limits()

_ENTERS_BY_PROC = sys.platform == "linux"
"""Whether a child can be told to begin in a directory by the number of a descriptor."""

_ENTER = """\
import os, sys
directory = int(sys.argv[1])
os.fchdir(directory)
os.close(directory)
os.execv(sys.argv[2], sys.argv[2:])
"""


class DirectoryGoneError(OSError):
    """The directory a process was to run in is not there any more, or is another one."""


class Spawner:
    """Starts all subprocesses of the daemon, one at a time.

    Starting blocks the event loop for a millisecond or two, and a burst of starts would hold up
    every open stream, so each start is followed by a pause for the others.

    Args:
        cgroups: makes a control group for each of them; None where there are none.

    Attributes:
        running: pids of the live subprocesses: children nobody else may wait for.
    """

    def __init__(self, cgroups: Cgroups | None = None) -> None:
        self.running: set[int] = set()
        self._cgroups = cgroups
        self._one = asyncio.Semaphore(1)

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        on_lines: Callable[[list[bytes]], None],
        on_exit: Callable[[Process], None],
        limits: Limits = NO_LIMITS,
    ) -> Process:
        """Start a program in a session of its own, and in a control group if there are any.

        Args:
            argv: the program's absolute path and its arguments.
            cwd: where it runs: absolute, all links resolved. It begins in that place and no
                other, whatever somebody made of the path meanwhile.
            on_lines: gets the complete lines of every read of its stdout, synchronously.
            on_exit: called once when it has ended and its output was read; that may be before
                this method returns.
            limits: of the control group.

        Raises:
            DirectoryGoneError: the directory cannot be entered, or there is a link in its path.
            OSError: the program cannot be run.
            ValueError: an argument or variable holds a NUL.
        """
        loop = asyncio.get_running_loop()
        async with self._one:
            directory = _open(cwd)
            group = None
            try:
                group = self._cgroups.create(limits) if self._cgroups is not None else None
                command = list(argv)
                if not _ENTERS_BY_PROC:
                    command = [sys.executable, "-ISc", _ENTER, str(directory), *command]
                if group is not None:
                    command = group.entering(command)
                _, process = await loop.subprocess_exec(
                    lambda: Process(self, on_lines, on_exit, group),
                    *command,
                    cwd=f"/proc/self/fd/{directory}" if _ENTERS_BY_PROC else None,
                    pass_fds=() if _ENTERS_BY_PROC else (directory,),
                    env=dict(environment),
                    start_new_session=True,
                )
            except BaseException:
                if group is not None:
                    group.end()
                raise
            finally:
                os.close(directory)
            await asyncio.sleep(0)
        return process

    def reap(self) -> None:
        """Collect adopted orphans that ended. Blocking: some milliseconds."""
        if not self._one.locked():  # a child that is just being started is nobody's yet
            descendants.reap(self.running)


class Process(asyncio.SubprocessProtocol):
    """A running subprocess; made by `Spawner.spawn`.

    Attributes:
        pid: its process id, which is also its process group and session.
        returncode: exit status (negative: signal), or None while it runs.
        exited: set once it ended and its output was read.
    """

    pid: int

    def __init__(
        self,
        spawner: Spawner,
        on_lines: Callable[[list[bytes]], None],
        on_exit: Callable[[Process], None],
        group: Cgroup | None = None,
    ) -> None:
        self._spawner = spawner
        self._on_lines = on_lines
        self._on_exit = on_exit
        self._group = group
        self._partial: list[bytes] = []
        self._partial_size = 0
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._transport: asyncio.SubprocessTransport | None = None
        self._stopping = False
        self.returncode: int | None = None
        self.exited = asyncio.Event()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport = transport
        self.pid = transport.get_pid()
        self._spawner.running.add(self.pid)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self._stderr.extend(data.decode(errors="replace").splitlines())
            return
        if b"\n" not in data:
            self._partial.append(data)
            self._partial_size += len(data)
            if self._partial_size > MAX_LINE:
                self._partial.clear()
                self.signal_group(signal.SIGKILL)
            return
        if self._partial:
            data = b"".join((*self._partial, data))
            self._partial.clear()
        lines = data.split(b"\n")
        rest = lines.pop()
        if rest:
            self._partial.append(rest)
        self._partial_size = len(rest)
        self._on_lines(lines)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1 and self.returncode is None:
            # Nothing can come from it any more. Most such processes are about to end.
            asyncio.get_running_loop().call_later(_STDIN_GRACE, self._end_when_mute)

    def process_exited(self) -> None:
        assert self._transport is not None
        self.returncode = self._transport.get_returncode()
        self._spawner.running.discard(self.pid)
        # A grandchild may hold the pipes open for ever: what was written is read, then we close.
        asyncio.get_running_loop().call_later(_DRAIN_GRACE, self._transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        assert self._transport is not None
        self._transport.close()  # or it warns when the loop ends before the pause of above
        self.exited.set()
        self._on_exit(self)

    # What the pool calls.

    def send(self, message: object) -> None:
        """Write one JSON line to its stdin; lost without a word when it is closed."""
        stdin = self._stdin()
        if stdin is not None and not stdin.is_closing():
            stdin.write(to_json(message) + b"\n")

    def pause_reading(self, paused: bool) -> None:
        """Stop or resume reading its output, so that it waits instead of us buffering."""
        if self._transport is None or self.exited.is_set():
            return
        stdout = self._transport.get_pipe_transport(1)
        if isinstance(stdout, asyncio.ReadTransport) and not stdout.is_closing():
            (stdout.pause_reading if paused else stdout.resume_reading)()

    @property
    def stderr_tail(self) -> str:
        """The last lines it wrote on stderr."""
        return "\n".join(self._stderr)

    async def stop(self, grace: float, marker: str) -> None:
        """End it and all it started: close stdin, SIGTERM, SIGKILL, each with its own wait.

        Args:
            grace: seconds between SIGTERM and SIGKILL.
            marker: value of `descendants.MARKER` in its environment.
        """
        self._stopping = True
        below: list[psutil.Process] = []
        try:
            if not self.exited.is_set():  # afterwards its pid may be another process's
                below = await asyncio.to_thread(descendants.tree, self.pid)
                if (stdin := self._stdin()) is not None:
                    stdin.close()
                await self._wait(min(_STDIN_GRACE, grace))
            for number, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, grace)):
                if self.exited.is_set():
                    break
                self.signal_group(number)
                await self._wait(wait)
        finally:
            # Also when the stop itself is cancelled.
            self.signal_group(signal.SIGKILL)
            if self._group is not None:
                self._group.kill()
        await self._end_descendants(below, marker)

    def signal_group(self, number: int) -> None:
        """Send a signal to its process group; nothing when the group is empty."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def _end_descendants(self, below: list[psutil.Process], marker: str) -> None:
        await asyncio.to_thread(descendants.end, below, marker)
        if self._group is not None:
            await asyncio.to_thread(self._group.end)
        self._spawner.reap()

    def _end_when_mute(self) -> None:
        if self.returncode is None and not self._stopping:
            self.signal_group(signal.SIGKILL)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.exited.wait()

    def _stdin(self) -> asyncio.WriteTransport | None:
        if self._transport is None:
            return None
        stdin = self._transport.get_pipe_transport(0)
        return stdin if isinstance(stdin, asyncio.WriteTransport) else None


def _open(cwd: Path) -> int:
    try:
        return open_directory(cwd)
    except OSError as error:
        raise DirectoryGoneError(
            error.errno, f"its directory cannot be entered: {error.strerror}", str(cwd)
        ) from None
