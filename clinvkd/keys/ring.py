"""All keys that are valid now."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from ..errors import ConfigError
from .key import Key, digest_of


class KeyRing:
    """The valid keys; what is not on it does not come in.

    Once a key was needed it stays needed: only a new start can do without.

    Args:
        keys: the valid ones; with any, requests need one.

    Raises:
        ConfigError: one key has two names, or two sets of scopes.
    """

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys = _unique(keys)
        self._required = bool(self._keys)
        self.stale: str | None = None
        """Why some of the keys are those of before the last reload, or None."""

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def required(self) -> bool:
        """Whether a request needs a key."""
        return self._required

    def replace(self, keys: Iterable[Key]) -> None:
        """Take these keys for the old ones, which are worth nothing from now on.

        Raises:
            ConfigError: as at the beginning; the old ones stay.
        """
        self._keys = _unique(keys)
        self._required = self._required or bool(self._keys)

    def match(self, key: bytes) -> Key | None:
        """The valid key that was shown, or None. Takes the same time whichever it is."""
        shown = digest_of(key)
        found = None
        for candidate in self._keys:
            if hmac.compare_digest(shown, candidate.digest):
                found = candidate
        return found


def _unique(keys: Iterable[Key]) -> tuple[Key, ...]:
    """Each key once, although several sources may have it.

    Raises:
        ConfigError: not all of them say the same of it.
    """
    by_digest: dict[bytes, Key] = {}
    for key in keys:
        first = by_digest.setdefault(key.digest, key)
        if first != key:
            raise ConfigError(
                f"keys: one key stands twice, as {first.name!r} and as {key.name!r}, or with"
                " different scopes; remove one"
            )
    return tuple(by_digest.values())
