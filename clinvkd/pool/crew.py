"""The agents of one backend: started, kept ready as spares, recycled, and let go.

All bookkeeping is synchronous; starting and stopping run in the background.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import Protocol

import structlog

from ..config import Backend
from ..drivers.base import Driver, Launch
from ..errors import BackendUnavailable
from .agent import Agent, House, State
from .crashes import Crashes
from .locate import Found, NotFound, locate_agent

_log = structlog.get_logger(__name__)

REFILL_DELAY = 0.25
"""Seconds before a used spare is replaced: its start must not compete with the first token."""

_LONG_LIVED = 10.0  # seconds after which an agent has proved that it does not end by itself
_LOCATE_AGAIN = 5.0  # seconds a program that was not found is not looked for again


class Owner(Protocol):
    """What a crew asks of its pool."""

    def room(self) -> None:
        """An agent got ready or went away: whoever waits may try again."""

    def gone(self, agent: Agent) -> None:
        """The agent is no longer of the crew, nor are its conversations."""

    def give_up_shared(self, launch: Launch) -> bool:
        """End a parked conversation in an agent of `launch` that can hold several."""

    def give_up_parked(self) -> bool:
        """End a parked conversation that has a process of its own; False when there is none."""

    @property
    def waiting(self) -> bool:
        """Whether callers wait for an agent."""


class Crew:
    """The agents of one backend.

    Args:
        backend: its configuration.
        driver: the class of its driver.
        house: what all pools share.
        default: how the agents are started that most callers need.
        owner: the pool.

    Attributes:
        default: how the agents are started that most callers need.
        most: how many agents there may be.
        room: how many conversations they can hold together.
        crashes: what is known of failed starts.
        restarts: agents that ended without being asked to.
        version: the agent's version once one told it, else None.
    """

    def __init__(
        self,
        backend: Backend,
        driver: type[Driver],
        house: House,
        default: Launch,
        owner: Owner,
    ) -> None:
        self.backend = backend
        abilities = driver.abilities_of(backend)
        self.most = backend.pool.agents or abilities.agents
        self.room = self.most * (backend.pool.conversations or abilities.conversations)
        self.crashes = Crashes(backend.pool.crash_budget, backend.pool.crash_window_secs)
        self.restarts = 0
        self.version: str | None = None
        self._newest: Driver | None = None
        self._driver = driver
        self._house = house
        self._owner = owner
        self._limits = backend.pool
        self._agents: dict[str, Agent] = {}
        self._leaving: set[Agent] = set()
        self._stopping: set[Agent] = set()
        self._unproved: set[Agent] = set()
        self.default = default
        self._recent: OrderedDict[Launch, None] = OrderedDict()
        self._refill_timer: asyncio.TimerHandle | None = None
        self._warm = False
        self._closed = False
        self._program: Found | NotFound | None = None
        self._located = 0.0

    def __iter__(self) -> Iterator[Agent]:
        return iter(list(self._agents.values()))

    def __contains__(self, agent: Agent) -> bool:
        return agent.id in self._agents

    def __len__(self) -> int:
        return len(self._agents)

    @property
    def ending(self) -> tuple[Agent, ...]:
        """Agents that get no more work: those that still run turns, and those being ended."""
        return (*self._leaving, *self._stopping)

    # Availability.

    def program(self) -> Found | NotFound:
        """The backend's program; looked for again after a while when it was not there."""
        now = time.monotonic()
        match self._program:
            case Found(path=path) if path.exists():
                return self._program
            case NotFound() if now - self._located < _LOCATE_AGAIN:
                return self._program
        environment = {**self._house.inherited, **self.backend.environment}
        self._located = now
        self._program = locate_agent(self.backend.command, environment)
        return self._program

    @property
    def warnings(self) -> tuple[str, ...]:
        """What this version of the agent cannot do, as the newest agent found so far."""
        return self._newest.warnings if self._newest is not None else ()

    def unavailable(self) -> str | None:
        """Why no agent can be had now, or None when one can."""
        program = self.program()
        if isinstance(program, NotFound):
            return f"not installed: {program}"
        return self.crashes.reason

    # For turns.

    def reserve(self, launch: Launch) -> Agent | None:
        """A place in a ready agent, else in a starting one, else in one started now.

        None when every agent is at work and there may not be more.

        Raises:
            BackendUnavailable: none can be started.
        """
        self._warm = True
        self._remember(launch)
        agent = self._fitting(launch)
        if agent is None and self._owner.give_up_shared(launch):
            agent = self._fitting(launch)
        if agent is None and (len(self) < self.most or self._evict()):
            agent = self._start(launch)
        if agent is not None:
            agent.reserved += 1
        return agent

    def let_go(self, agent: Agent) -> None:
        """Forget an agent at once and end it in the background."""
        if self._dismissed(agent):
            self._stop(agent)

    def retire(self, agent: Agent, reason: str) -> None:
        """End an agent that does harm, with the turns it runs."""
        self._note_retired(agent, reason)
        self.let_go(agent)
        self._owner.room()

    def withdraw(self, agent: Agent, reason: str) -> None:
        """Give an agent no more work, and end it once the turns it still runs have ended."""
        self._note_retired(agent, reason)
        if self._dismissed(agent):
            self._leaving.add(agent)
            self.stop_when_idle(agent)
        self._owner.room()

    def stop_when_idle(self, agent: Agent) -> None:
        """A conversation of `agent` is over: if it was withdrawn, it may have been the last."""
        if agent in self._leaving and not agent.busy:
            self._leaving.discard(agent)
            self._stop(agent)

    def proved(self, agent: Agent) -> None:
        """The agent completed a turn, or lived for long: it is not one that crashes at once."""
        if agent in self._unproved:
            self._unproved.discard(agent)
            self.crashes.proved()

    # Spares.

    def keep_warm(self) -> None:
        """From now on have spares ready; a backend nobody uses has none before."""
        self._warm = True
        self.refill()

    def refill_later(self) -> None:
        """Soon start what is missing of the spares."""
        self._refill_in(REFILL_DELAY)

    def refill(self) -> None:
        """Start one missing spare; the next follows when that one is ready."""
        self._refill_timer = None
        if self._closed or not self._warm or self._owner.waiting or self.unavailable() is not None:
            return
        if (pause := self.crashes.pause) > 0:
            self._refill_in(pause)
            return
        for launch in self._wanted():
            if sum(agent.free for agent in self._alive(launch)) >= self._limits.spares:
                continue
            if len(self) < self.most or self._owner.give_up_parked():
                self._start(launch)
            return

    # Lifetime.

    def tend(self) -> None:
        """Let go agents that are worn out, or idle and not needed."""
        now = time.monotonic()
        for agent in self:
            if agent.state is not State.READY:
                continue
            if now - agent.born > _LONG_LIVED:
                self.proved(agent)
            worn = now - agent.born > self._limits.max_age_secs
            worn = worn or agent.turns >= self._limits.max_turns
            unused = not agent.conversations and now - agent.last_used > self._limits.idle_secs
            if not agent.busy and (worn or (unused and self._surplus(agent))):
                self.let_go(agent)
        self.refill_later()

    async def aclose(self) -> None:
        """End every agent."""
        self._closed = True
        if self._refill_timer is not None:
            self._refill_timer.cancel()
        agents = [*self, *self._leaving]
        self._agents.clear()
        self._leaving.clear()
        self._unproved.clear()
        await asyncio.gather(*(agent.stop() for agent in agents))

    def _dismissed(self, agent: Agent) -> bool:
        self._unproved.discard(agent)
        if self._agents.pop(agent.id, None) is None:
            return False
        self._owner.gone(agent)
        return True

    def _stop(self, agent: Agent) -> None:
        self._stopping.add(agent)
        self._house.background.start(self._see_stopped(agent), f"stop {agent.id}")

    async def _see_stopped(self, agent: Agent) -> None:
        try:
            await agent.stop()
        finally:
            self._stopping.discard(agent)

    def _note_retired(self, agent: Agent, reason: str) -> None:
        _log.warning("agent retired", agent=agent.id, reason=reason)
        self.restarts += 1

    def _fitting(self, launch: Launch) -> Agent | None:
        return min(
            (agent for agent in self._alive(launch) if agent.free > 0),
            key=lambda agent: (agent.state is State.STARTING, len(agent.conversations)),
            default=None,
        )

    def _surplus(self, agent: Agent) -> bool:
        """Whether there are enough spares without it."""
        others = sum(a.free for a in self._alive(agent.launch) if a is not agent)
        return agent.launch not in self._wanted() or others >= self._limits.spares

    def _alive(self, launch: Launch) -> list[Agent]:
        return [
            agent
            for agent in self
            if agent.launch == launch and agent.state in (State.READY, State.STARTING)
        ]

    def _start(self, launch: Launch) -> Agent:
        program = self.program()
        if (why := self.unavailable()) is not None or isinstance(program, NotFound):
            raise BackendUnavailable(
                f"backend {self.backend.name!r} is not available: {why}",
                param="backend",
                retry_after=self.crashes.retry_after,
            )
        agent = Agent(self.backend, self._driver, launch, program, self._house, self._exited)
        self._agents[agent.id] = agent
        self._house.background.start(self._see_started(agent), f"start {agent.id}")
        return agent

    async def _see_started(self, agent: Agent) -> None:
        await agent.start()
        if agent.state is State.READY:
            self.crashes.started()
            self._unproved.add(agent)
            self.version = agent.driver.version or self.version
            self._newest = agent.driver
            _log.info("agent ready", agent=agent.id, pid=agent.pid)
        elif agent.failure is not None:
            _log.warning("agent did not start", agent=agent.id, reason=agent.failure)
            if agent.misplaced:
                self._recent.pop(agent.launch, None)  # nobody can want a spare there
            else:
                self.crashes.failed(agent.failure)
            self.let_go(agent)
        self._owner.room()

    def _exited(self, agent: Agent) -> None:
        """A ready agent's process is gone although nobody stopped it."""
        self.restarts += 1
        if not agent.turns and agent in self._unproved:
            self.crashes.wasted()
        self._leaving.discard(agent)
        self.let_go(agent)
        self._owner.room()

    def _evict(self) -> bool:
        """Make room for one more agent; False when every agent is at work."""
        idle = [agent for agent in self if agent.state is State.READY and not agent.busy]
        if not idle:
            return False
        self.let_go(min(idle, key=lambda agent: (bool(agent.conversations), agent.last_used)))
        return True

    def _remember(self, launch: Launch) -> None:
        if launch != self.default:
            self._recent[launch] = None
            self._recent.move_to_end(launch)
            while len(self._recent) > self._limits.warm_keys:
                self._recent.popitem(last=False)

    def _wanted(self) -> tuple[Launch, ...]:
        return (self.default, *reversed(self._recent))

    def _refill_in(self, seconds: float) -> None:
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        if self._refill_timer is not None:
            if self._refill_timer.when() <= when:
                return
            self._refill_timer.cancel()
        self._refill_timer = loop.call_at(when, self.refill)
