"""The only door to the agents: takes an approved prompt, gives its turn.

It owns the pools, the sessions and everything that outlives a request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from .approvals import Approvals
from .config import AUTO, EMBEDDED, Backend, Settings, home_directory
from .drivers import DRIVERS
from .errors import BackendUnavailable, ConfigError, StoreUnavailable
from .intake import Approved, Asked, Intake
from .judging import Judge
from .keys import Caller
from .limits import Quotas
from .live import Dialect, LiveFeed, LiveTurn, State, state_of
from .loop_guard import LoopGuard
from .models import ModelNames
from .observation import Observer, observed
from .pool import (
    AgentUse,
    Background,
    Cgroups,
    Consumption,
    Figures,
    House,
    Pool,
    PrivateFolder,
    Spawner,
    Turn,
    clear_abandoned,
    keep,
)
from .pool.locate import Found
from .prompt import Prompt
from .recording import Recorder
from .retention import tidy
from .sessions import Keeping, SessionStore
from .store import Store
from .structured import StructuredTurn, structured
from .tracing import tracing_of
from .usage import Ledger, today

AnyTurn: TypeAlias = Turn | StructuredTurn
"""What callers get: both look alike."""

BY_HISTORY = Keeping()
"""Where turns are recorded whose caller knows of no session."""


@dataclass(frozen=True, slots=True)
class BackendReport:
    """One backend as ``/health`` tells it.

    Attributes:
        reason: why it is not available, or None.
        warnings: what this version of its agent cannot do.
    """

    name: str
    driver: str
    reason: str | None
    version: str | None
    path: str | None
    warnings: tuple[str, ...]
    figures: Figures


class Engine:
    """All backends of the daemon.

    Args:
        settings: the configuration.
        environ: the daemon's environment; agents get allowed names of it.
        cgroups: makes control groups for agents; None where there are none.

    Attributes:
        tracing: makes spans; None where nobody asks for them.
        ledger: what was used.
        observers: are told of the end of every turn.
        live: tells those who watch what happens.

    Raises:
        ConfigError: a backend's section does not fit its driver, or traces cannot be made.
    """

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], cgroups: Cgroups | None = None
    ) -> None:
        self.settings = settings
        self.tracing = tracing_of(environ)
        self.sessions = SessionStore(lambda: self.store, lambda: self.settings.session)
        self.started = time.monotonic()
        self.quotas = Quotas()
        self.loop_guard = LoopGuard()
        self.models = ModelNames(settings, self._default_name)
        self._folder = PrivateFolder()
        self._house = House(
            spawner=Spawner(cgroups),
            background=Background(),
            folder=self._folder.path,
            inherited=dict(environ),
        )
        self._judge = Judge()
        self._recorder = Recorder(
            self.sessions, lambda: self.settings.session, self._house.background
        )
        self.ledger = Ledger(lambda: self.store, self._house.background)
        self.observers: list[Observer] = [
            self.ledger.note,
            lambda end: self.quotas.spend(end.client, end.usage),
        ]
        if self.tracing is not None:
            self.observers.append(self.tracing.agent_call)
        self.live = LiveFeed(self._state)
        self._environ = environ
        self._intake = self._make_intake(settings)
        self._store: Store | None = None
        self._pools: dict[str, Pool] = {}
        self._replaced: set[Pool] = set()
        self._consumption = Consumption()
        self._keepers: list[asyncio.Task[None]] = []
        try:
            self._pools = self._make_pools(settings, self._intake)
        except ConfigError:
            self._folder.remove()
            raise

    # Requests.

    async def approve(self, asked: Asked, caller: Caller) -> Approved:
        """Check a request against configuration, policy and the caller's scopes; nothing runs yet.

        Raises:
            InvalidRequest, Forbidden, NotFound: with the field at fault.
        """
        if asked.workdir is None:
            return self._intake.approve(asked, caller)
        return await asyncio.to_thread(self._intake.approve, asked, caller)

    def pool(self, name: str) -> Pool:
        """The pool of an enabled backend.

        Raises:
            BackendUnavailable: a new configuration has just taken it away.
        """
        try:
            return self._pools[name]
        except KeyError:
            raise BackendUnavailable(f"there is no backend {name!r} any more") from None

    def room(self, name: str) -> int:
        """Most turns that the backend can run at once; 1 when there is no such backend any more."""
        pool = self._pools.get(name)
        return 1 if pool is None else pool.crew.room

    def default_backend(self) -> tuple[str, str]:
        """The backend of a request that names none, and why it is that one."""
        configured = self.settings.default_backend
        if configured != AUTO:
            return configured, "configured as default_backend"
        order = self.settings.auto_order()
        chosen = next((n for n in order if self._pools[n].crew.unavailable() is None), None)
        if chosen is None:
            raise BackendUnavailable("no backend is available", param="backend", retry_after=5)
        if chosen in EMBEDDED:
            missing = ", ".join(name for name in order if name not in EMBEDDED)
            return chosen, f"no agent CLI is available (looked for {missing})"
        return chosen, "the first agent CLI that is available"

    @asynccontextmanager
    async def turn(
        self, prompt: Prompt, keeping: Keeping = BY_HISTORY, dialect: Dialect = "native"
    ) -> AsyncIterator[AnyTurn]:
        """Run an approved prompt; leaving the context early interrupts the agent.

        Args:
            keeping: where the completed turn is recorded, unless the prompt is ephemeral.
            dialect: by which API it was asked.

        Raises:
            BackendUnavailable: the backend cannot take it.
            Conflict: another turn of the session is still running.
            LoopDetected: the client repeats itself and gets nowhere.
            RateLimited: the client has used up what its key may use.
        """
        guarded = self.loop_guard.turn(prompt, self.settings.server)
        recording = self._recorder.recording(prompt, keeping)
        traced = nullcontext(_unseen) if self.tracing is None else self.tracing.turn(prompt)
        counted = self.quotas.turn(prompt.client)
        with traced as trace, guarded as answered, counted, recording as record:
            session_id = None if prompt.ephemeral else keeping.session_id
            if self.tracing is not None:
                prompt = replace(prompt, trace=self.tracing.context())
            async with self._run(prompt, dialect, session_id) as turn:
                trace(turn)
                turn.when_completed.append(lambda: answered(turn.reply))
                record(turn)
                yield turn

    def _run(
        self, prompt: Prompt, dialect: Dialect, session_id: str | None
    ) -> AbstractAsyncContextManager[AnyTurn]:
        total = self.settings.server.request_timeout_secs

        @asynccontextmanager
        async def plain(prompt: Prompt) -> AsyncIterator[Turn]:
            live = LiveTurn(prompt, dialect, session_id)
            with observed(prompt, (*self.observers, partial(self.live.ended, live))) as watch:
                async with self.pool(prompt.backend).turn(prompt, total) as turn:
                    watch(turn)
                    self.live.began(live, turn)
                    yield turn

        if prompt.output is None:
            return plain(prompt)
        return structured(plain, prompt, prompt.output, self._judge)

    @property
    def store(self) -> Store:
        """What outlives the daemon; opened with its first use."""
        if self._store is None:
            self._store = Store.open(home_directory(self._environ) / "clinvk.db")
            self._cleared = self._store.clear_up(time.time())
        return self._store

    @property
    def approvals(self) -> Approvals:
        """What agents ask before they act."""
        return self._house.approvals

    @property
    def background(self) -> Background:
        """Runs what must not end with the request that caused it."""
        return self._house.background

    def report(self) -> list[BackendReport]:
        """All enabled backends, in the order of the configuration."""
        return [self._report(name, pool) for name, pool in self._pools.items()]

    async def agent_use(self) -> Mapping[str, AgentUse]:
        """What the agents of each backend use of the machine; replaced ones count, too."""
        return await self._consumption.by_backend(self._all_pools())

    # Lifetime.

    async def start(self) -> None:
        """Open the store and begin to warm agents up; returns at once."""
        loop = asyncio.get_running_loop()
        keeper = keep(self._all_pools, self._house.spawner)
        store = self.store
        tidier = tidy(
            store, self._cleared, lambda: self.settings.session, lambda: self.sessions.running
        )
        self._keepers = [
            loop.create_task(keeper, name="keeper"),
            loop.create_task(tidier, name="tidier"),
        ]
        self.background.start(self._recall_usage(), "recall usage")
        others = asyncio.to_thread(clear_abandoned, self._folder.path.parent)
        self.background.start(others, "clear abandoned folders")
        for name in self._pools:
            self._warm(name)

    async def reload(self, settings: Settings) -> None:
        """Take a new configuration. Running turns are not touched; changed pools are replaced.

        Raises:
            ConfigError: a backend's section does not fit its driver; nothing has changed.
        """
        old = self._pools
        intake = self._make_intake(settings)
        self._pools = self._make_pools(settings, intake)
        self.settings = settings
        self._intake = intake
        self.models = ModelNames(settings, self._default_name)
        kept = set(self._pools.values())
        for pool in old.values():
            if pool not in kept:
                self._replaced.add(pool)
                self._house.background.start(self._retire(pool), f"retire {pool.backend.name}")
        for name, pool in self._pools.items():
            if pool not in old.values():
                self._warm(name)

    async def drain(self, grace: float) -> None:
        """Take no new turns; let running ones end within `grace` seconds, then end them."""
        await asyncio.gather(*(pool.drain(grace) for pool in self._all_pools()))
        self.live.close()

    async def aclose(self) -> None:
        """End every agent and remove every private file; after `drain`."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        grace = max((pool.backend.pool.stop_grace_secs for pool in self._all_pools()), default=1)
        await self.drain(0)
        await asyncio.gather(*(pool.aclose() for pool in self._all_pools()))
        await self._house.background.aclose(2 * grace + 2)
        await self._house.tools.aclose()
        if self._store is not None:
            await self._store.aclose()
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)
        await asyncio.to_thread(self._folder.remove)

    def _make_intake(self, settings: Settings) -> Intake:
        own = (home_directory(self._environ), self._house.folder)
        return Intake(settings, self._default_name, own)

    def _make_pools(self, settings: Settings, intake: Intake) -> dict[str, Pool]:
        pools = {}
        for name, section in settings.enabled_backends().items():
            backend = Backend.of(name, section, settings.pool_of(name))
            driver = DRIVERS[backend.driver]
            pool = Pool(backend, driver, self._house, intake.default_prompt(name))
            before = self._pools.get(name)
            pools[name] = before if before is not None and before.same_as(pool) else pool
        return pools

    async def _recall_usage(self) -> None:
        """What was used today counts, although another process may have counted it."""
        day = today()
        with suppress(StoreUnavailable):  # the store has logged why, and /health tells it
            self.quotas.recall(day, await self.ledger.tokens(day))

    def _warm(self, name: str) -> None:
        """Start spares now, but of an embedded agent only if it is what callers get."""
        pool = self._pools[name]
        with suppress(BackendUnavailable):  # then there is no default
            if name in EMBEDDED and name != self._default_name():
                return
        pool.open()

    async def _retire(self, pool: Pool) -> None:
        await pool.drain(self.settings.server.request_timeout_secs)
        await pool.aclose()
        self._replaced.discard(pool)

    def _all_pools(self) -> list[Pool]:
        return [*self._pools.values(), *self._replaced]

    def _state(self) -> State:
        return state_of(
            self._pools,
            self._replaced,
            self.settings,
            self.live.turns.values(),
            started=self.started,
            requests=self.live.requests,
        )

    def _default_name(self) -> str:
        return self.default_backend()[0]

    def _report(self, name: str, pool: Pool) -> BackendReport:
        program = pool.crew.program()
        return BackendReport(
            name=name,
            driver=pool.backend.driver,
            reason=pool.crew.unavailable(),
            version=pool.crew.version,
            path=str(program.path) if isinstance(program, Found) else None,
            warnings=pool.crew.warnings,
            figures=pool.figures(),
        )


def _unseen(_: AnyTurn) -> None:
    """What is told of a turn that nobody traces."""
