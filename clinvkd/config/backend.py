"""One backend as the pool and the drivers see it: its section of the configuration, resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .sections import BackendSettings, DriverName, PoolSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A configured backend.

    Attributes:
        name: what callers use.
        driver: which wire protocol it speaks.
        command: the command line's fixed part; the first word is looked up.
        extra_flags: further arguments from the configuration, unchecked.
        environment: variables set for its agents; may hold secrets, so never shown.
        pass_environment: names and patterns taken over from the daemon's environment.
        quirks: differences of this agent from its protocol, for the driver to read.
        pool: the limits of its pool.
    """

    name: str
    driver: DriverName
    command: tuple[str, ...]
    extra_flags: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    pass_environment: tuple[str, ...] = ()
    quirks: Mapping[str, Any] = field(default_factory=dict)
    pool: PoolSettings = field(default_factory=PoolSettings)

    @classmethod
    def of(cls, name: str, settings: BackendSettings, pool: PoolSettings) -> Backend:
        """The backend `name` with its effective pool settings."""
        return cls(
            name=name,
            driver=settings.driver,
            command=settings.command,
            extra_flags=settings.extra_flags,
            environment={
                key: value.get_secret_value() for key, value in settings.environment.items()
            },
            pass_environment=settings.pass_environment,
            quirks=settings.quirks,
            pool=pool,
        )
