"""Groups that import the modules of their commands only when one of these is used.

`clinvk --help` has to be quick, and no command needs what all the others import.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class Lazy:
    """A command that is not imported yet.

    Attributes:
        place: `module:attribute`, the module relative to this package.
        summary: what a list of commands says of it.
    """

    place: str
    summary: str

    def load(self) -> click.Command:
        """Import it."""
        module, _, name = self.place.partition(":")
        command: click.Command = getattr(import_module(module, __package__), name)
        return command


class CommandTable(MutableMapping[str, click.Command]):
    """Commands by name; what is looked up is imported, what is listed is not."""

    def __init__(self, entries: Mapping[str, Lazy]) -> None:
        self._entries: dict[str, click.Command | Lazy] = dict(entries)

    def __getitem__(self, name: str) -> click.Command:
        entry = self._entries[name]
        if isinstance(entry, Lazy):
            self._entries[name] = entry = entry.load()
        return entry

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._entries[name] = command

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def summary(self, name: str) -> str:
        """One line about a command."""
        entry = self._entries[name]
        return entry.summary if isinstance(entry, Lazy) else entry.get_short_help_str(limit=100)


class LazyGroup(click.Group):
    """A group of commands some of which are imported when they are used."""

    def __init__(self, name: str | None, *, lazy: Mapping[str, Lazy], **keywords: Any) -> None:
        self.table = CommandTable(lazy)
        super().__init__(name, commands=self.table, **keywords)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.table.summary(name)) for name in sorted(self.table)])
