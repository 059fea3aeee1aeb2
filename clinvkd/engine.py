"""The only door to the agents: takes an approved prompt, gives its turn.

It owns the pools, the sessions and everything that outlives a request.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import structlog

from .config import AUTO, EMBEDDED, Backend, Settings, home_directory
from .drivers import DRIVERS
from .errors import BackendUnavailable, ConfigError, StoreUnavailable
from .intake import Approved, Asked, Intake
from .models import ModelNames
from .pool import Background, Figures, House, Pool, Spawner, Turn, keep
from .pool.locate import Found
from .prompt import Prompt
from .sessions import Session, SessionStore
from .store import Store
from .structured import StructuredTurn, structured

AnyTurn: TypeAlias = Turn | StructuredTurn
"""What callers get: both look alike."""

_NOTHING: Mapping[str, str] = MappingProxyType({})

_log = structlog.get_logger(__name__)


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

    Raises:
        ConfigError: a backend's section does not fit its driver.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self.settings = settings
        self.sessions = SessionStore()
        self.started = time.monotonic()
        self._intake = Intake(settings, self._default_name)
        self.models = ModelNames(settings, self._default_name)
        self._house = House(
            spawner=Spawner(),
            background=Background(),
            folder=Path(tempfile.mkdtemp(prefix="clinvk-")),
            inherited=dict(environ),
        )
        self._environ = environ
        self._store: Store | None = None
        self._pools: dict[str, Pool] = {}
        self._replaced: set[Pool] = set()
        self._keeper: asyncio.Task[None] | None = None
        try:
            self._pools = self._make_pools(settings, self._intake)
        except ConfigError:
            self._house.folder.rmdir()
            raise

    # Requests.

    async def approve(self, asked: Asked) -> Approved:
        """Check a request against configuration and policy; nothing runs yet.

        Raises:
            InvalidRequest, Forbidden, NotFound: with the field at fault.
        """
        if asked.workdir is None:
            return self._intake.approve(asked)
        return await asyncio.to_thread(self._intake.approve, asked)

    def pool(self, name: str) -> Pool:
        """The pool of an enabled backend.

        Raises:
            BackendUnavailable: a new configuration has just taken it away.
        """
        try:
            return self._pools[name]
        except KeyError:
            raise BackendUnavailable(f"there is no backend {name!r} any more") from None

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
        self, prompt: Prompt, session_id: str | None = None, metadata: Mapping[str, str] = _NOTHING
    ) -> AsyncIterator[AnyTurn]:
        """Run an approved prompt; leaving the context early interrupts the agent.

        Args:
            session_id: the session the completed turn is kept in; None keeps nothing.
            metadata: kept with it.

        Raises:
            BackendUnavailable: the backend cannot take it.
        """
        async with self._run(prompt) as turn:
            if session_id is not None:
                turn.when_completed.append(lambda: self._record(session_id, turn, metadata))
            yield turn

    def _run(self, prompt: Prompt) -> AbstractAsyncContextManager[AnyTurn]:
        total = self.settings.server.request_timeout_secs

        def plain(prompt: Prompt) -> AbstractAsyncContextManager[Turn]:
            return self.pool(prompt.backend).turn(prompt, total)

        if prompt.output is None:
            return plain(prompt)
        return structured(plain, prompt, prompt.output)

    @property
    def store(self) -> Store:
        """What outlives the daemon; opened with its first use."""
        if self._store is None:
            self._store = Store.open(home_directory(self._environ) / "clinvk.db")
        return self._store

    def report(self) -> list[BackendReport]:
        """All enabled backends, in the order of the configuration."""
        return [self._report(name, pool) for name, pool in self._pools.items()]

    # Lifetime.

    async def start(self) -> None:
        """Open the store and begin to warm agents up; returns at once."""
        loop = asyncio.get_running_loop()
        self._keeper = loop.create_task(keep(self._all_pools, self._house.spawner), name="keeper")
        for name in self._pools:
            self._warm(name)
        self._house.background.start(self._tidy_store(), "tidy the store")

    async def _tidy_store(self) -> None:
        """What ran when the daemon ended did not survive it; what is too old goes."""
        try:
            lost = await self.store.responses.interrupted_at_start()
            if days := self.settings.session.retention_days:
                await self.store.responses.prune(time.time() - days * 86_400)
        except StoreUnavailable as error:
            _log.warning("the store cannot be used", reason=error.message)
        else:
            _log.info("store ready", interrupted_responses=lost)

    async def reload(self, settings: Settings) -> None:
        """Take a new configuration. Running turns are not touched; changed pools are replaced.

        Raises:
            ConfigError: a backend's section does not fit its driver; nothing has changed.
        """
        old = self._pools
        intake = Intake(settings, self._default_name)
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

    async def aclose(self) -> None:
        """End every agent and remove every private file; after `drain`."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        grace = max((pool.backend.pool.stop_grace_secs for pool in self._all_pools()), default=1)
        await self.drain(0)
        await asyncio.gather(*(pool.aclose() for pool in self._all_pools()))
        await self._house.background.aclose(2 * grace + 2)
        await self._house.tools.aclose()
        if self._store is not None:
            await self._store.aclose()
        await asyncio.to_thread(shutil.rmtree, self._house.folder, ignore_errors=True)

    def _record(self, session_id: str, turn: AnyTurn, metadata: Mapping[str, str]) -> None:
        self.sessions.put(
            Session(
                id=session_id,
                prompt=turn.prompt,
                messages=(*turn.prompt.messages, turn.reply),
                agent_session_id=turn.agent_session_id,
                metadata=dict(metadata),
            )
        )

    def _make_pools(self, settings: Settings, intake: Intake) -> dict[str, Pool]:
        pools = {}
        for name, section in settings.enabled_backends().items():
            backend = Backend.of(name, section, settings.pool_of(name))
            driver = DRIVERS[backend.driver]
            pool = Pool(backend, driver, self._house, intake.default_prompt(name))
            before = self._pools.get(name)
            pools[name] = before if before is not None and before.same_as(pool) else pool
        return pools

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
