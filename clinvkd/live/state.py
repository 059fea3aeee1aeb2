"""What the daemon holds at one moment: backends, agents process by process, the queues."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from ..config import EMBEDDED, Settings
from ..keys import Caller
from ..pool import Agent, Conversation, Figures, Pool
from ..pool import State as Life
from .turn import LiveTurn

Doing: TypeAlias = Literal["starting", "spare", "idle", "parked", "busy", "stopping"]
"""What an agent does: it starts, is ready and unused, has nothing left to do, holds conversations
that may go on, is at work, or ends."""

_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendState:
    """One backend.

    Attributes:
        type: the name of its driver.
        embedded: it comes with clinvk.
        reason: why it is not available, or None.
        version: of its agent once one told it, else None.
        model: the configured one, or None.
        warnings: what this version of its agent cannot do.
        most_agents: how many there may be.
        spares: how many are to be kept ready.
        queue_length: how many turns may wait.
    """

    name: str
    type: str
    embedded: bool
    reason: str | None
    version: str | None
    model: str | None
    warnings: tuple[str, ...]
    figures: Figures
    most_agents: int
    spares: int
    queue_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentState:
    """One process.

    Attributes:
        pid: None before it is started.
        born: `time.monotonic()` of its start.
        memory_bytes: what it and all below it held when somebody last looked, in whole mebibytes;
            None before.
        turns: turns it has served or serves.
        conversations: how many it holds.
        running: the turns that run in it.
    """

    id: str
    backend: str
    pid: int | None
    doing: Doing
    born: float
    memory_bytes: int | None
    turns: int
    conversations: int
    running: tuple[LiveTurn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything. Two states are equal when there is nothing new to tell.

    Attributes:
        started: `time.monotonic()` of the daemon's start.
        requests: HTTP requests being answered, those of watchers not counted.
    """

    started: float
    requests: int
    backends: tuple[BackendState, ...]
    agents: tuple[AgentState, ...]

    def seen_by(self, caller: Caller) -> State:
        """The part that a caller may see: backends it may use, and its own turns in agents."""
        scopes = caller.scopes
        if caller.sees is None and scopes.backends is None:
            return self
        return replace(
            self,
            backends=tuple(one for one in self.backends if scopes.allows_backend(one.name)),
            agents=tuple(
                replace(one, running=tuple(turn for turn in one.running if turn.seen_by(caller)))
                for one in self.agents
                if scopes.allows_backend(one.backend)
            ),
        )


def state_of(
    pools: Mapping[str, Pool],
    replaced: Iterable[Pool],
    settings: Settings,
    turns: Iterable[LiveTurn],
    *,
    started: float,
    requests: int,
) -> State:
    """What is held right now; nothing is waited for.

    Args:
        pools: by the names of their backends.
        replaced: pools that a new configuration has taken away and that still run turns.
        turns: those that run.
        started: `time.monotonic()` of the daemon's start.
    """
    running: defaultdict[Conversation, list[LiveTurn]] = defaultdict(list)
    for turn in turns:
        if turn.turn is not None:
            running[turn.turn.conversation].append(turn)
    return State(
        started=started,
        requests=requests,
        backends=tuple(_backend(name, pool, settings) for name, pool in pools.items()),
        agents=tuple(
            _agent(agent, running)
            for pool in (*pools.values(), *replaced)
            for agent in (*pool.crew, *pool.crew.ending)
        ),
    )


def _backend(name: str, pool: Pool, settings: Settings) -> BackendState:
    section = settings.backends.get(name)
    return BackendState(
        name=name,
        type=pool.backend.driver,
        embedded=name in EMBEDDED,
        reason=pool.crew.unavailable(),
        version=pool.crew.version,
        model=section.model or None if section is not None else None,
        warnings=pool.crew.warnings,
        figures=pool.figures(),
        most_agents=pool.crew.most,
        spares=pool.backend.pool.spares,
        queue_length=pool.backend.pool.queue_length,
    )


def _agent(agent: Agent, running: Mapping[Conversation, list[LiveTurn]]) -> AgentState:
    held = agent.conversations.values()
    memory = agent.memory_bytes
    return AgentState(
        id=agent.id,
        backend=agent.backend.name,
        pid=agent.pid,
        doing=_doing(agent),
        born=agent.born,
        memory_bytes=None if memory is None else memory // _MEBIBYTE * _MEBIBYTE,
        turns=agent.turns,
        conversations=len(held),
        running=tuple(turn for one in held if one in running for turn in running[one]),
    )


def _doing(agent: Agent) -> Doing:
    match agent.state:
        case Life.STARTING:
            return "starting"
        case Life.STOPPING | Life.STOPPED:
            return "stopping"
        case Life.READY if agent.busy:
            return "busy"
        case Life.READY if agent.conversations:
            return "parked"
        case Life.READY:
            return "idle" if agent.turns else "spare"
