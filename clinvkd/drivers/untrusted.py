"""What keeps a directory that is not trusted from running commands, whatever agent works there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

GIT_ENVIRONMENT: Final[Mapping[str, str]] = {
    "GIT_CONFIG_COUNT": "2",
    # Any `git status` would run it, and agents do that by themselves, or let a model do it unasked.
    "GIT_CONFIG_KEY_0": "core.fsmonitor",
    "GIT_CONFIG_VALUE_0": "false",
    # A clone may hold the directory of another repository, with hooks and settings of its own.
    "GIT_CONFIG_KEY_1": "safe.bareRepository",
    "GIT_CONFIG_VALUE_1": "explicit",
}
"""Variables by which git overrules the settings of a repository (git-config(1), 2.31 and newer)."""
