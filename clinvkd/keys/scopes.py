"""What a key may be used for. A scope only ever narrows: a key without scopes may do everything
the configuration allows, except see what other clients keep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from ..prompt import Approval, Sandbox

_MOST = 10**12  # of a limit: larger numbers are slips of the pen


@dataclass(frozen=True, slots=True, kw_only=True)
class Scopes:
    """The limits of one caller. None sets no limit of its own beside the configuration's.

    Attributes:
        backends: names of the backends it may use.
        models: patterns (`claude-*`) of the models it may name; with them it has to name one.
        approval_modes: what it may ask to happen when an agent wants to ask.
        sandbox_modes: where it may ask an agent to write.
        workdirs: absolute directories, links resolved, under one of which a workdir must lie.
        dangerous: whether agents may act for it without a question (`approval_mode` none) and
            without a sandbox (`sandbox_mode` full).
        every_session: whether it sees and changes what other clients keep: sessions, jobs,
            responses.
        requests_per_minute: requests it may send per minute, at least 1.
        concurrent_turns: turns of it that may run at once, at least 1.
        tokens_per_day: input and output tokens it may use per day (UTC), at least 1.
    """

    backends: frozenset[str] | None = None
    models: tuple[str, ...] | None = None
    approval_modes: frozenset[Approval] | None = None
    sandbox_modes: frozenset[Sandbox] | None = None
    workdirs: tuple[Path, ...] | None = None
    dangerous: bool = True
    every_session: bool = False
    requests_per_minute: int | None = None
    concurrent_turns: int | None = None
    tokens_per_day: int | None = None

    def allows_backend(self, name: str) -> bool:
        """Whether a backend of that name may be used."""
        return self.backends is None or name in self.backends

    def allows_model(self, *names: str | None) -> bool:
        """Whether a model may be used that is called by any of `names`; None is the default."""
        if self.models is None:
            return True
        return any(fnmatchcase(name, pattern) for name in names if name for pattern in self.models)

    @classmethod
    def parse(cls, words: Iterable[str]) -> Scopes:
        """Read scopes as they are written beside a key: ``backends=claude,codex turns=2``.

        Raises:
            ValueError: naming the word that means nothing, and what is allowed.
        """
        values: dict[str, Any] = {}
        for word in words:
            name, equals, text = word.partition("=")
            if name not in _READERS or not equals or not text:
                raise ValueError(f"{word[:80]!r} is no scope; allowed: {', '.join(SCOPES)}")
            if name in values:
                raise ValueError(f"scope {name!r} stands twice")
            try:
                values[name] = _READERS[name](text)
            except ValueError as error:
                raise ValueError(f"{name}={text[:80]}: {error}") from None
        return cls(**{_FIELDS.get(name, name): value for name, value in values.items()})

    def words(self) -> list[str]:
        """The scopes as `parse` reads them, those that are as for any key left out."""
        unlimited = Scopes()
        names = {field: name for name, field in _FIELDS.items()}
        return [
            f"{names.get(field.name, field.name)}={_written(value)}"
            for field in fields(self)
            if (value := getattr(self, field.name)) != getattr(unlimited, field.name)
        ]


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    if "" in names:
        raise ValueError("names with commas between them")
    return names


def _one_of(allowed: Iterable[str]) -> Callable[[str], frozenset[str]]:
    known = tuple(allowed)

    def read(text: str) -> frozenset[str]:
        names = frozenset(_names(text))
        if not names <= set(known):
            raise ValueError(f"some of {', '.join(known)}")
        return names

    return read


def _directories(text: str) -> tuple[Path, ...]:
    paths = [Path(name) for name in _names(text)]
    if not all(path.is_absolute() for path in paths):
        raise ValueError("absolute directories")
    return tuple(path.resolve() for path in paths)


def _truth(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("yes or no")
    return text == "yes"


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:20]) <= _MOST:
        raise ValueError("a whole number of at least 1")
    return int(text)


def _written(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case frozenset():
            return ",".join(sorted(map(str, value)))
        case tuple():
            return ",".join(map(str, value))
        case _:
            return str(value)


_READERS: Mapping[str, Callable[[str], Any]] = MappingProxyType(
    {
        "backends": lambda text: frozenset(_names(text)),
        "models": _names,
        "approval_modes": _one_of(get_args(Approval)),
        "sandbox_modes": _one_of(get_args(Sandbox)),
        "workdirs": _directories,
        "dangerous": _truth,
        "every_session": _truth,
        "rpm": _number,
        "turns": _number,
        "tokens_per_day": _number,
    }
)
_FIELDS = MappingProxyType({"rpm": "requests_per_minute", "turns": "concurrent_turns"})

SCOPES = tuple(_READERS)
"""The names of the scopes, as they are written."""
