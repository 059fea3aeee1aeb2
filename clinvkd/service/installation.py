"""What an installation consists of: files and the service manager's commands. Nothing is done here.

So it can be printed as well as carried out, on any machine.
"""

from __future__ import annotations

import os
import shlex
import stat
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..config import Settings
from ..pool.locate import Found, NotFound, locate_agent

_RECORDED = ("CLINVK_CONFIG", "CLINVK_HOME")
_HOMES = ("/home", "/root", "/Users", "/run/user")


@dataclass(frozen=True, slots=True)
class File:
    """A file to write.

    Attributes:
        kept: it is left alone when it exists, and stays when the service is uninstalled.
    """

    path: Path
    text: str
    mode: int = 0o644
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run.

    Attributes:
        may_fail: its failure means that there was nothing to do.
    """

    argv: tuple[str, ...]
    may_fail: bool = False

    def __str__(self) -> str:
        """As a shell takes it."""
        return shlex.join(self.argv)


class Manager(Protocol):
    """A service manager, and how clinvk is its service."""

    def folders(self) -> Sequence[Path]:
        """Folders that must exist, beside those of the files."""

    def files(self) -> Sequence[File]:
        """All files of an installation."""

    def unwanted(self) -> Sequence[Path]:
        """What an earlier installation may have written, and must not be there now."""

    def removable(self) -> Sequence[Path]:
        """All that an installation may have written, whatever the configuration is now."""

    def enable(self, *, changed: bool) -> Sequence[Command]:
        """What makes it run with these files, now and after the next start of the machine."""

    def disable(self) -> Sequence[Command]:
        """What ends it, before its files are removed."""

    def removed(self) -> Sequence[Command]:
        """What tells the manager that the files are gone."""

    def start(self) -> Sequence[Command]:
        """What starts it."""

    def stop(self) -> Sequence[Command]:
        """What stops it until it is started again."""

    def restart(self) -> Sequence[Command]:
        """What restarts it; nobody who connects meanwhile is turned away."""

    def status(self) -> Sequence[Command]:
        """What tells how it is."""

    def logs(self, *, lines: int, follow: bool) -> Sequence[Command]:
        """What shows the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What a service manager has to know.

    Attributes:
        program: the command line of clinvk, without arguments.
        home: of the user it runs as.
        user: id of that user.
        settings: where it listens.
        environ: the shell's environment: `PATH`, and clinvk's own variables if they are set.
        system: for the machine instead of one user.
    """

    program: tuple[str, ...]
    home: Path
    user: int
    settings: Settings
    environ: Mapping[str, str] = field(repr=False)
    system: bool = False

    def programs(self) -> dict[str, Found | NotFound]:
        """Every agent program by the name of its backend, as this shell finds it."""
        return self._located(self.environ)

    def within_reach(self) -> dict[str, Found]:
        """Those that the service will find."""
        return {
            name: found
            for name, found in self._located(self.variables()).items()
            if isinstance(found, Found) and not self._hidden(found.path)
        }

    def obstacle(self) -> str | None:
        """What of clinvk itself the service could not look at, if it is for the machine."""
        ours = (Path(self.program[0]), Path(sys.executable), Path(sys.prefix), Path(__file__))
        return next((str(path) for path in ours if self._hidden(path)), None)

    def variables(self) -> dict[str, str]:
        """What of the shell the service gets, because its manager has an environment of its own."""
        found = {"PATH": os.pathsep.join(map(str, self._path()))}
        if not self.system:
            recorded = {name: self.environ.get(name) for name in _RECORDED}
            found |= {name: str(Path(text).absolute()) for name, text in recorded.items() if text}
        return found

    def _located(self, environ: Mapping[str, str]) -> dict[str, Found | NotFound]:
        environ = {**environ, "HOME": str(self.home)}
        return {
            name: locate_agent(backend.command, environ)
            for name, backend in self.settings.enabled_backends().items()
        }

    def _path(self) -> list[Path]:
        """Folders of the programs first, then those of the shell that nobody else can change."""
        entries = [Path(entry) for entry in self.environ.get("PATH", "").split(os.pathsep) if entry]
        folders = [
            folder
            for found in self.programs().values()
            if isinstance(found, Found)
            for folder in found.folders
            if folder != Path(sys.executable).parent
        ]
        return [*dict.fromkeys(folder for folder in [*folders, *entries] if self._usable(folder))]

    def _usable(self, folder: Path) -> bool:
        if not folder.is_absolute():
            return False
        if self._hidden(folder):
            return False
        try:
            status = folder.stat()
        except OSError:
            return False
        return stat.S_ISDIR(status.st_mode) and not status.st_mode & stat.S_IWOTH

    def _hidden(self, path: Path) -> bool:
        """Whether it lies, or leads, where the service of the machine cannot look."""
        return self.system and any(
            place.is_relative_to(home) for place in (path, path.resolve()) for home in _HOMES
        )


def own_program(argument: str) -> tuple[str, ...]:
    """The command line of this clinvk, from the first word of its own: a link stays one.

    An update of whoever installed it then goes on working.
    """
    path = Path(argument).absolute()
    if path.name == "clinvk" and os.access(path, os.X_OK):
        return (str(path),)
    return (sys.executable, "-P", "-m", "clinvkd")


def render(folders: Iterable[Path], files: Iterable[File], commands: Iterable[Command]) -> str:
    """All of it for a person: whole files, then the commands."""
    parts = [f"==> {folder}/\n" for folder in folders]
    for file in files:
        kept = ", unless it exists" if file.kept else ""
        parts.append(f"==> {file.path} (mode {file.mode:04o}{kept})\n{file.text}")
    parts.append("==> commands\n" + "".join(f"{command}\n" for command in commands))
    return "\n".join(parts)
