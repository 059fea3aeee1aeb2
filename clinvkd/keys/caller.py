"""Who sends a request, as everything behind the gate knows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .scopes import Scopes


@dataclass(frozen=True, slots=True)
class Caller:
    """One client.

    Attributes:
        name: of its key; what it keeps (sessions, jobs, responses) belongs to that name. Empty
            for everybody who comes without a key.
        scopes: what it may do.
        known_by: ``key``: it showed one; ``user``: there are no keys, and it is a process of the
            user that runs the daemon; ``nothing``: it may call public routes only.
    """

    name: str = ""
    scopes: Scopes = field(default_factory=Scopes)
    known_by: Literal["key", "user", "nothing"] = "key"

    @property
    def sees(self) -> str | None:
        """Name of the client whose sessions, jobs, responses and use it may see; None for all."""
        return None if self.scopes.every_session else self.name


OWNER = Caller()
"""The configuration itself: nothing of what it asks is refused for its sake."""

SAME_USER = Caller(scopes=Scopes(dangerous=False, every_session=True), known_by="user")
"""Every caller while there are no keys. An agent that clinvk runs is one of them: it could call
clinvk back, so it must not get more rights than it has."""

STRANGER = Caller(scopes=Scopes(backends=frozenset(), dangerous=False), known_by="nothing")
"""Somebody without a key, on a public route."""
