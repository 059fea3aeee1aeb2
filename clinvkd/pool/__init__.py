"""Warm agents: processes, the conversations in them, and the turns that run there."""

from __future__ import annotations

from .agent import Agent, House, State
from .background import Background
from .cgroup import Cgroups
from .consumption import AgentUse, Consumption
from .conversation import Conversation
from .keeper import keep
from .pool import Figures, Pool
from .private_folder import PrivateFolder, clear_abandoned
from .process import Spawner
from .turn import Turn, Way

__all__ = [
    "Agent",
    "AgentUse",
    "Background",
    "Cgroups",
    "Consumption",
    "Conversation",
    "Figures",
    "House",
    "Pool",
    "PrivateFolder",
    "Spawner",
    "State",
    "Turn",
    "Way",
    "clear_abandoned",
    "keep",
]
