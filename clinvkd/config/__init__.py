"""The configuration: `Settings.load()` reads flags, environment and file, and checks all of it.

Sections are frozen models with documented fields; a wrong value or an unknown key anywhere is a
`ConfigError` that names the key, the value, what is allowed and where it was written.
Nothing else in clinvk reads configuration from the environment.
"""

from __future__ import annotations

from .backend import Backend
from .schema import json_schema
from .sections import (
    BackendSettings,
    DriverName,
    LogSettings,
    MediaSettings,
    ModelsSettings,
    OutputFormat,
    OutputSettings,
    ParallelSettings,
    PoolSettings,
    SessionSettings,
    UnifiedFlags,
)
from .server import ServerSettings
from .settings import AUTO, EMBEDDED, Settings
from .show import render
from .sources import API_KEY_VARIABLES, config_path, home_directory

__all__ = [
    "API_KEY_VARIABLES",
    "AUTO",
    "EMBEDDED",
    "Backend",
    "BackendSettings",
    "DriverName",
    "LogSettings",
    "MediaSettings",
    "ModelsSettings",
    "OutputFormat",
    "OutputSettings",
    "ParallelSettings",
    "PoolSettings",
    "ServerSettings",
    "SessionSettings",
    "Settings",
    "UnifiedFlags",
    "config_path",
    "home_directory",
    "json_schema",
    "render",
]
