"""The wire protocols of agents, by the name a backend's ``driver`` key gives them."""

from __future__ import annotations

from collections.abc import Mapping

from ..config import DriverName
from .acp import AcpDriver
from .base import Driver
from .claude import ClaudeDriver
from .codex import CodexDriver

DRIVERS: Mapping[DriverName, type[Driver]] = {
    "claude": ClaudeDriver,
    "codex": CodexDriver,
    "acp": AcpDriver,
}
