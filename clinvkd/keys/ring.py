"""All keys that are valid now."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping

from ..errors import ConfigError
from .caller import Caller
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
        self._secret = secrets.token_bytes(hashlib.blake2s.MAX_KEY_SIZE)
        self._callers = self._tagged(keys)
        self._required = bool(self._callers)
        self.stale: str | None = None
        """Why some of the keys are those of before the last reload, or None."""

    def __len__(self) -> int:
        return len(self._callers)

    @property
    def required(self) -> bool:
        """Whether a request needs a key."""
        return self._required

    def replace(self, keys: Iterable[Key]) -> None:
        """Take these keys for the old ones, which are worth nothing from now on.

        Raises:
            ConfigError: as at the beginning; the old ones stay.
        """
        self._callers = self._tagged(keys)
        self._required = self._required or bool(self._callers)

    def caller_of(self, key: bytes) -> Caller | None:
        """Who showed a key, or None if it is not valid.

        How long it takes tells nothing: digests are looked up by what a secret of this process
        makes of them, so nobody can show a key of which more and more is right.
        """
        return self._callers.get(self._tag(digest_of(key)))

    def _tagged(self, keys: Iterable[Key]) -> Mapping[bytes, Caller]:
        return {self._tag(key.digest): Caller(key.name, key.scopes) for key in _unique(keys)}

    def _tag(self, digest: bytes) -> bytes:
        return hashlib.blake2s(digest, key=self._secret).digest()


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
