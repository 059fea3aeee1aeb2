"""What `/health` answers with, for the OpenAPI document; tests compare a real answer."""

from __future__ import annotations

from typing import Literal, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict


class DefaultBackend(TypedDict):
    """Who answers when a request names no backend, and why."""

    name: str | None
    reason: str


class PoolHealth(TypedDict):
    """Agents and conversations of a backend."""

    agents: int
    starting: int
    spares: int
    busy: int
    parked: int
    queued: int
    restarts: int
    turns: dict[str, int]


class BackendHealth(TypedDict):
    """A backend, what is wrong with it, and its pool."""

    name: str
    driver: str
    embedded: bool
    available: bool
    reason: str | None
    version: str | None
    path: str | None
    warnings: list[str]
    pool: PoolHealth


class SessionStoreHealth(TypedDict):
    """Whether sessions can be used, and how many there are."""

    available: bool
    session_count: int | None


class StoreHealth(TypedDict):
    """What is kept on disk."""

    available: bool
    reason: str | None
    set_aside: str | None


class KeysHealth(TypedDict):
    """Whether keys are needed, how many are valid, and why they could not be read again."""

    required: bool
    count: int
    stale: str | None


class LoopGuardHealth(TypedDict):
    """How often clients were refused that get nowhere."""

    refused: dict[str, int]


@with_config(use_attribute_docstrings=True)
class Health(TypedDict):
    """The state of the daemon; who shows no key where one is needed learns the status only."""

    status: Literal["ok", "degraded", "unhealthy"]
    version: NotRequired[str]
    uptime: NotRequired[str]
    """As people say it: ``2m31s``."""
    uptime_ms: NotRequired[int]
    default_backend: NotRequired[DefaultBackend]
    backends: NotRequired[list[BackendHealth]]
    session_store: NotRequired[SessionStoreHealth]
    store: NotRequired[StoreHealth]
    api_keys: NotRequired[KeysHealth]
    loop_guard: NotRequired[LoopGuardHealth]
