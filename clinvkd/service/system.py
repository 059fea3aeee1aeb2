"""The service of the machine: where it has what, and what it runs with."""

from __future__ import annotations

import shlex
from pathlib import Path

from ..config import Settings
from ..errors import ConfigError

ACCOUNT = "clinvk"
"""The user it runs as."""

HOME = Path("/var/lib/clinvk")
CONFIG = Path("/etc/clinvk/config.yaml")
KEYS = Path("/etc/clinvk/api-keys")
VARIABLES = Path("/etc/default/clinvk")


def variables() -> dict[str, str]:
    """What an administrator gives it in a file; nothing if this user may not read that."""
    try:
        lines = VARIABLES.read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, sign, value = line.strip().partition("=")
        if sign and not name.startswith(("#", ";")):
            found[name.strip()] = _unquoted(value.strip())
    return found


def settings() -> Settings:
    """Its configuration; that of whoever asks, and the variables of their shell, do not count.

    Raises:
        ConfigError: it is wrong.
    """
    path = CONFIG if CONFIG.exists() else None
    environ = {**variables(), "HOME": str(HOME), "CLINVK_HOME": str(HOME)}
    try:
        return Settings.load(path, environ=environ)
    except PermissionError as error:
        raise ConfigError(f"{error.filename}: cannot be read: {error.strerror}") from None


def _unquoted(value: str) -> str:
    try:
        return "".join(shlex.split(value)) if value[:1] in ("'", '"') else value
    except ValueError:
        return value
