"""Warm agents: processes, the conversations in them, and the turns that run there."""

from __future__ import annotations

from .agent import Agent, House, State
from .background import Background
from .cgroup import Cgroups
from .consumption import AgentUse, Consumption
from .keeper import keep
from .pool import Figures, Pool
from .process import Spawner
from .turn import Turn, Way

__all__ = [
    "Agent",
    "AgentUse",
    "Background",
    "Cgroups",
    "Consumption",
    "Figures",
    "House",
    "Pool",
    "Spawner",
    "State",
    "Turn",
    "Way",
    "keep",
]
