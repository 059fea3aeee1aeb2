"""What a check tells, and what it may look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from ..config import Settings, home_directory
from ..keys import Key

Verdict: TypeAlias = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        check: what was looked at, stable over versions (`backend.claude.login`).
        detail: what was found.
        remedy: what to do about it; empty if there is nothing to do.
    """

    check: str
    verdict: Verdict
    detail: str
    remedy: str = ""


Passed: TypeAlias = Mapping[str, Sequence[Key]] | Finding
"""Keys by the name of their source, or what keeps them from being read."""


@dataclass(frozen=True, slots=True)
class Service:
    """What the service of the machine gets from systemd.

    Attributes:
        environ: its environment.
        keys: what is passed to it as a credential.
    """

    environ: Mapping[str, str] = field(repr=False)
    keys: Passed


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined.

    Attributes:
        settings: the configuration; the defaults, if it is wrong.
        path: its file, whether or not it exists.
        shell: environment of the shell, without clinvk's keys being taken out.
        service: that of the machine, if it is what is examined.
    """

    settings: Settings
    path: Path
    shell: Mapping[str, str] = field(repr=False)
    service: Service | None = None

    @property
    def environ(self) -> Mapping[str, str]:
        """What clinvk and its agents run with."""
        return self.shell if self.service is None else self.service.environ

    @property
    def home(self) -> Path:
        """The folder of clinvk's own files."""
        return home_directory(self.environ)
