"""An agent: one supervised process with its driver and the conversations it holds."""

from __future__ import annotations

import asyncio
import enum
import itertools
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from ..approvals import Approvals
from ..config import Backend
from ..drivers.base import Driver, Json, Launch, Script
from ..errors import AgentExited, BackendUnavailable, ClinvkError, InvalidRequest
from ..workdir import PARAM
from . import descendants
from .background import Background
from .cgroup import Limits
from .conversation import Conversation
from .environment import child_environment
from .locate import Found
from .play import Play, write_private
from .process import DirectoryGoneError, Process, Spawner
from .program_output import ProgramOutputs
from .tool_server import ToolServer

_log = structlog.get_logger(__name__)
_numbers = itertools.count(1)
_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What all agents of the daemon share.

    Attributes:
        spawner: starts processes.
        background: owns what outlives a request.
        folder: private folder of this run of the daemon; agents get folders below it.
        inherited: the daemon's own environment, from which allowed names are passed on.
        tools: serves callers' tools to agents.
        outputs: what programs of agents printed when they were asked something.
        approvals: where agents ask whether they may act.
    """

    spawner: Spawner
    background: Background
    folder: Path
    inherited: Mapping[str, str]
    tools: ToolServer = field(default_factory=ToolServer)
    outputs: ProgramOutputs = field(default_factory=ProgramOutputs)
    approvals: Approvals = field(default_factory=Approvals)


class State(enum.Enum):
    """Life of an agent: starting -> ready -> stopping -> stopped; any state may go to stopped."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Agent:
    """One process of a backend.

    Attributes:
        id: unique within this run of the daemon; also marks its descendants.
        state: see `State`; only this class moves it.
        house: what all agents share.
        conversations: those it holds, by script.
        reserved: requests that wait for its start.
        turns: turns served.
        memory_bytes: what it and all below it held when somebody last looked, or None.
        born: `time.monotonic()` of its start.
        failure: why the start failed, or None.
        misplaced: the start failed because the caller's directory is gone, which is no fault of
            the backend's.
        state_before_exit: its state when the process ended, or None.
    """

    def __init__(
        self,
        backend: Backend,
        driver: type[Driver],
        launch: Launch,
        program: Found,
        house: House,
        on_exit: Callable[[Agent], None],
    ) -> None:
        self.id = f"{backend.name}-{next(_numbers)}"
        self.backend = backend
        self.launch = launch
        self.scratch = house.folder / self.id
        self.driver = driver(backend, self.scratch)
        self.capacity = backend.pool.conversations or driver.abilities_of(backend).conversations
        self.state = State.STARTING
        self.conversations: dict[Script, Conversation] = {}
        self.reserved = 0
        self.turns = 0
        self.memory_bytes: int | None = None
        self.born = time.monotonic()
        self._limits = backend.pool
        self._program = program
        self.house = house
        self._on_exit = on_exit
        self._process: Process | None = None
        self._handshake = Play(self.driver.start(), self.send, run=self._ask_program)
        self._spawning = asyncio.Lock()  # `stop` must not miss a process that is being started
        self._started = asyncio.Event()
        self._last_discarded = self.born
        self._garbled = False  # one warning is enough for each process
        self.failure: str | None = None
        self.misplaced = False
        self.state_before_exit: State | None = None

    @property
    def pid(self) -> int | None:
        """Process id, or None before the start."""
        return self._process.pid if self._process else None

    @property
    def free(self) -> int:
        """How many more conversations it can take."""
        return self.capacity - len(self.conversations) - self.reserved

    @property
    def busy(self) -> bool:
        """Whether a turn runs in it or waits for it."""
        return self.reserved > 0 or any(
            conversation.play is not None for conversation in self.conversations.values()
        )

    @property
    def last_used(self) -> float:
        """`time.monotonic()` of the end of the last turn, or of the start."""
        ends = (conversation.idle_since for conversation in self.conversations.values())
        return max(ends, default=self._last_discarded)

    async def start(self) -> None:
        """Start the process and shake hands; on failure `ready` raises for whoever waits."""
        try:
            async with asyncio.timeout(self._limits.start_timeout_secs):
                await self._start()
        except TimeoutError:
            secs = self._limits.start_timeout_secs
            self.failure = f"it did not get ready within {secs:g} s"
        except ClinvkError as error:
            self.failure = error.message
        except DirectoryGoneError as error:
            self.failure, self.misplaced = error.strerror, self.launch.cwd is not None
        except (OSError, ValueError) as error:
            self.failure = f"it could not be started: {error}"
        except Exception as error:  # noqa: BLE001 - the last line of defence
            _log.exception("agent start failed", agent=self.id)
            self.failure = f"its handshake failed: {error}"
        else:
            if self.state is State.STARTING:
                self.state = State.READY
            else:
                self.failure = "it ended while it got ready"
        finally:
            self._started.set()

    async def ready(self) -> None:
        """Wait for the end of the start.

        Raises:
            BackendUnavailable: it failed, or the agent is gone again.
            InvalidRequest: the caller's directory is not there any more.
        """
        await self._started.wait()
        if self.misplaced:
            raise InvalidRequest(f"workdir: {self.failure}", param=PARAM)
        if self.failure is not None:
            raise BackendUnavailable(
                f"backend {self.backend.name!r} is not available: {self.failure}", retry_after=5
            )
        if self.state is not State.READY:
            raise BackendUnavailable(
                f"backend {self.backend.name!r}: its agent went away while starting", retry_after=1
            )

    def open(self) -> Conversation:
        """A new conversation in it."""
        script = self.driver.open()
        conversation = Conversation(self, script)
        self.conversations[script] = conversation
        return conversation

    def forget(self, conversation: Conversation) -> None:
        """The conversation is over."""
        self.conversations.pop(conversation.script, None)
        self._last_discarded = time.monotonic()

    def send(self, message: Json) -> None:
        """Write one message; lost when the process is gone (its exit ends the turns)."""
        if self._process is not None:
            self._process.send(message)

    def pause_reading(self, paused: bool) -> None:
        """Stop or resume reading its output."""
        if self._process is not None:
            self._process.pause_reading(paused)

    async def stop(self) -> None:
        """End the process, what it started, and its folder. May be called at any time."""
        if self.state in (State.STARTING, State.READY):
            self.state = State.STOPPING
        self._fail_turns("the agent was stopped")
        async with self._spawning:
            if self._process is not None:
                await self._process.stop(self._limits.stop_grace_secs, self.id)
        await self._handshake.let_program_end()
        self.state = State.STOPPED
        await asyncio.to_thread(shutil.rmtree, self.scratch, ignore_errors=True)

    async def _start(self) -> None:
        async with self._spawning:
            if self.state is not State.STARTING:
                raise BackendUnavailable("it was stopped before it was started")
            await asyncio.to_thread(self._make_folders)
            self._process = await self.house.spawner.spawn(
                self._arguments(),
                cwd=self.launch.cwd or self.scratch / "work",
                environment=self._environment(),
                on_lines=self._received,
                on_exit=self._exited,
                limits=Limits(
                    memory=self._limits.memory_limit_mb * _MEBIBYTE, tasks=self._limits.tasks_limit
                ),
            )
        self._handshake.start()
        await self._handshake.finish()

    def _arguments(self) -> list[str]:
        argv = [self._placed(word) for word in self.launch.argv]
        # Where the backend's own command begins: a driver may have put a wrapper before it.
        argv[self.launch.argv.index(self.backend.command[0])] = str(self._program.path)
        return argv

    async def _ask_program(self, arguments: tuple[str, ...]) -> bytes | None:
        return await self.house.outputs.get(
            self.house.spawner,
            [str(self._program.path), *self.backend.command[1:], *arguments],
            cwd=self.scratch / "work",
            environment=self._environment(),
        )

    def _environment(self) -> dict[str, str]:
        environment = child_environment(
            self.house.inherited,
            self.backend.pass_environment,
            {
                **self.backend.environment,
                # Last, since tools are off and folders untrusted by some of these.
                **{name: self._placed(value) for name, value in self.launch.environment},
                "TMPDIR": str(self.scratch / "tmp"),
                descendants.MARKER: self.id,
            },
        )
        # Agents from npm start with `env node`: node stands beside them, not on a service's PATH.
        path = environment.get("PATH", os.defpath).split(os.pathsep)
        found = [str(folder) for folder in self._program.folders if str(folder) not in path]
        environment["PATH"] = os.pathsep.join(found + path)
        return environment

    def _placed(self, text: str) -> str:
        return text.replace("{scratch}", str(self.scratch))

    def _make_folders(self) -> None:
        self.scratch.mkdir(parents=True, mode=0o700)
        for name in ("work", "tmp"):
            (self.scratch / name).mkdir(mode=0o700)
        for name, text in self.launch.files:
            write_private(self.scratch / name, self._placed(text).encode())

    def _received(self, lines: list[bytes]) -> None:
        driver = self.driver
        conversations = self.conversations
        for line in lines:
            try:
                message = driver.decode(line) if line else None
            except ValueError as error:
                self._undecodable(line, error)
                continue
            if message is None:
                continue
            try:
                script = driver.route(message)
                if script is None:
                    self._unrouted(message)
                elif (conversation := conversations.get(script)) is not None:
                    conversation.feed(message)
            except Exception:  # noqa: BLE001 - the last line of defence
                # A message no driver expected: the next line may be another conversation's.
                _log.exception("driver failed", agent=self.id)

    def _undecodable(self, line: bytes, error: ValueError) -> None:
        """Some agents print banners; what begins as a message is missed by whoever waits for it."""
        lost = line.startswith(b"{") and not self._garbled
        self._garbled |= lost
        log = _log.warning if lost else _log.debug
        log("not a line of JSON", agent=self.id, bytes=len(line), reason=str(error))

    def _unrouted(self, message: Json) -> None:
        if not self._handshake.ended:
            self._handshake.feed(message)
            return
        for send in self.driver.unrouted(message):
            self.send(send.message)

    def _exited(self, process: Process) -> None:
        status = _describe(process.returncode)
        tail = process.stderr_tail
        log = _log.debug if self.state is State.STOPPING else _log.warning
        log("agent exited", agent=self.id, pid=process.pid, status=status, stderr=tail)
        self.state_before_exit = self.state
        self.state = State.STOPPED
        said = f"{status}: {_last_line(tail)}" if tail else status
        self._handshake.fail(BackendUnavailable(f"it ended while starting ({said})"))
        self._fail_turns(f"the agent's process ended in the middle of the turn ({said})")
        if self.state_before_exit is State.READY:
            self._on_exit(self)

    def _fail_turns(self, reason: str) -> None:
        for conversation in list(self.conversations.values()):
            conversation.withdraw_tools()
            if conversation.play is not None:
                conversation.play.fail(
                    AgentExited(f"backend {self.backend.name!r}: {reason}", retry_after=1)
                )


def _last_line(text: str) -> str:
    return text.splitlines()[-1][:300] if text else ""


def _describe(returncode: int | None) -> str:
    if returncode is None:
        return "status unknown"
    return f"signal {-returncode}" if returncode < 0 else f"exit status {returncode}"
