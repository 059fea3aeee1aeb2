"""One key: its digest, its name, its scopes, and the line of text that keeps them.

A line is ``sha256:HEX NAME [SCOPE ...]``, its words quoted as in a shell where they hold blanks;
empty lines and what follows ``#`` at the beginning of a word mean nothing.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field

from .scopes import Scopes

_ALGORITHM = "sha256:"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is kept.

    Attributes:
        name: who has it, 1 to 64 letters, digits, `.`, `_` and `-`. What a client keeps belongs
            to the name, so a new key with an old name is the same client.
        digest: SHA-256 of its bytes.
        scopes: what it may be used for.
    """

    name: str
    digest: bytes = field(repr=False)
    scopes: Scopes = field(default_factory=Scopes)

    @classmethod
    def of(cls, text: str, name: str | None = None) -> Key:
        """The key `text`; one without a name is called after its digest."""
        digest = digest_of(text.encode())
        return cls(name or f"key-{digest.hex()[:8]}", digest)

    def line(self) -> str:
        """The line that keeps it."""
        return shlex.join([_ALGORITHM + self.digest.hex(), self.name, *self.scopes.words()])


def digest_of(key: bytes) -> bytes:
    """What is kept of a key; 32 random bytes need no slow hash."""
    return hashlib.sha256(key).digest()


def new_key() -> str:
    """A key nobody can guess: ``clinvk_`` and 32 random bytes."""
    return "clinvk_" + secrets.token_urlsafe(32)


def check_name(name: str) -> str:
    """`name`, if a key may be called that.

    Raises:
        ValueError: it may not.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name[:80]!r} is no name of a key: 1 to 64 letters, digits, '.', '_', '-'"
        )
    return name


def read_lines(lines: Iterable[str]) -> list[Key]:
    """The keys of a file.

    Raises:
        ValueError: naming the number of the line at fault, never what may be a key.
    """
    keys = []
    for number, line in enumerate(lines, 1):
        try:
            words = shlex.split(line, comments=True)
            if words:
                keys.append(_read(words))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    return keys


def _read(words: list[str]) -> Key:
    digest = words[0].removeprefix(_ALGORITHM).lower()
    if not words[0].startswith(_ALGORITHM) or not _DIGEST.fullmatch(digest) or len(words) < 2:
        # Somebody may have written the key itself: do not repeat it.
        raise ValueError("is not 'sha256:' with 64 hexadecimal digits, a name, and scopes")
    return Key(check_name(words[1]), bytes.fromhex(digest), Scopes.parse(words[2:]))
