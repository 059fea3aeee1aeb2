"""What a check tells, and what it may look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from ..config import Settings, home_directory

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


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined.

    Attributes:
        settings: the configuration; the defaults, if it is wrong.
        path: its file, whether or not it exists.
        environ: of the shell, without clinvk's keys being taken out.
    """

    settings: Settings
    path: Path
    environ: Mapping[str, str] = field(repr=False)

    @property
    def home(self) -> Path:
        """The folder of clinvk's own files."""
        return home_directory(self.environ)
