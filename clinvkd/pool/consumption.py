"""What agents and everything below them use of the machine."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from . import descendants
from .pool import Pool

LOOK_AGAIN = 1.0
"""Seconds for which a look is good: to walk through all processes of a machine costs some ms."""


@dataclass(frozen=True, slots=True)
class AgentUse:
    """What the agents of a backend use, and all processes below them.

    Attributes:
        cpu_seconds: processor time since the daemon started, as far as it was seen; never shrinks.
        memory_bytes: resident memory now.
    """

    cpu_seconds: float = 0
    memory_bytes: int = 0


class Consumption:
    """Looks at the processes of agents when it is asked, and adds up what they used."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}
        self._cpu: defaultdict[str, float] = defaultdict(float)
        self._latest: Mapping[str, AgentUse] = {}
        self._looked = float("-inf")
        self._alone = asyncio.Lock()

    async def by_backend(self, pools: Iterable[Pool]) -> Mapping[str, AgentUse]:
        """What each backend with agents uses; several pools of one name count as one."""
        async with self._alone:
            if time.monotonic() - self._looked >= LOOK_AGAIN:
                self._latest = await self._look(pools)
                self._looked = time.monotonic()
        return self._latest

    async def _look(self, pools: Iterable[Pool]) -> Mapping[str, AgentUse]:
        agents = [agent for pool in pools for agent in pool.crew if agent.pid is not None]
        pids = [agent.pid for agent in agents if agent.pid is not None]
        used = await asyncio.to_thread(descendants.used, pids)
        memory: Counter[str] = Counter()
        seen: dict[str, float] = {}
        for agent, (cpu, resident) in zip(agents, used, strict=True):
            before = self._seen.get(agent.id, 0.0)
            # A process that nobody waited for takes its time with it: the sum may shrink.
            self._cpu[agent.backend.name] += max(0.0, cpu - before)
            seen[agent.id] = max(cpu, before)
            memory[agent.backend.name] += resident
        self._seen = seen
        return {name: AgentUse(cpu, memory[name]) for name, cpu in self._cpu.items()}
