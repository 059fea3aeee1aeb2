"""Where values come from: flags, environment, file, built-ins, each as one settings source.

A source gives nested plain values and knows for every one of them where it was written, so that
a wrong value can be reported as `config.yaml:12` or `CLINVK_SERVER__PORT`.
The environment is an argument here; nothing in this package looks at `os.environ` by itself.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from ..errors import ConfigError
from . import fields, yaml_file
from .fields import Place
from .yaml_file import KeyPath

PREFIX = "CLINVK_"

SHORT_NAMES: Mapping[str, tuple[str, ...]] = {
    "CLINVK_BACKEND": ("default_backend",),
    "CLINVK_CLAUDE_MODEL": ("backends", "claude", "model"),
    "CLINVK_CODEX_MODEL": ("backends", "codex", "model"),
    "CLINVK_GEMINI_MODEL": ("backends", "gemini", "model"),
    "CLINVK_DEBUG": ("log", "level"),
    "CLINVK_API_KEYS_GOPASS_PATH": ("server", "api_keys_gopass_path"),
}
"""The published names; the full name of the same setting wins over them."""

API_KEY_VARIABLES = ("CLINVK_API_KEYS", "CLINVK_API_KEY")
"""Variables that hold API keys: no settings, so that nothing that prints those prints them."""

_NOT_SETTINGS = frozenset({"CLINVK_CONFIG", "CLINVK_HOME", "CLINVK_URL", *API_KEY_VARIABLES})
_IGNORED_PREFIX = "CLINVK_TEST_"

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})

FLAGS: Mapping[KeyPath, str] = {
    ("default_backend",): "--backend",
    ("server", "host"): "--host",
    ("server", "port"): "--port",
}


class Source(PydanticBaseSettingsSource):
    """Values of one origin.

    Attributes:
        values: nested plain values, as far as this origin has any.
        origins: for each key path, the words that tell a person where it was written.
    """

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        self.values: dict[str, Any] = {}
        self.origins: dict[KeyPath, str] = {}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The value of a top-level field, as pydantic-settings asks for it."""
        return self.values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """All values, as pydantic-settings merges them."""
        return self.values

    def where(self, path: KeyPath) -> str | None:
        """Where this origin has the value at `path`, or None when it has none there."""
        value: Any = self.values
        for key in path:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                return None
        written = (path[:length] for length in range(len(path), 0, -1))
        return next((self.origins[place] for place in written if place in self.origins), None)


class BuiltInSource(Source):
    """The backends that exist without any configuration.

    A source and not a field's default, so that a file merges over them key by key.
    """

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        self.values = {"backends": built_in_backends()}


class FlagSource(Source):
    """Values given by the program that loads the settings, such as command line flags."""

    def __init__(self, settings_cls: type[BaseSettings], overrides: Mapping[str, Any]) -> None:
        super().__init__(settings_cls)
        self.values = dict(overrides)
        self._note(self.values, ())

    def _note(self, values: Mapping[str, Any], path: KeyPath) -> None:
        for key, value in values.items():
            here = (*path, key)
            self.origins[here] = FLAGS.get(here, "an argument")
            if isinstance(value, Mapping):
                self._note(value, here)


class FileSource(Source):
    """The configuration file.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: it is no readable, unambiguous YAML mapping.
    """

    def __init__(self, settings_cls: type[BaseSettings], path: Path) -> None:
        super().__init__(settings_cls)
        document = yaml_file.read(path)
        self.values = document.values
        self.origins = {place: f"{path}:{line}" for place, line in document.lines.items()}
        _fill_empty_sections(self.values, fields.root(settings_cls))


class EnvironmentSource(Source):
    """`CLINVK_*` variables: `__` between the levels of a key, and the published short names.

    Lists are JSON arrays or texts with commas, sections and tables are JSON objects, `null` is
    `null` where that is allowed. An empty variable counts as not set. `CLINVK_TEST_*` belongs
    to the test suite and is left alone; any other unknown name is kept as an unknown key, so
    that it is reported.
    """

    def __init__(self, settings_cls: type[BaseSettings], environ: Mapping[str, str]) -> None:
        super().__init__(settings_cls)
        self._root = fields.root(settings_cls)
        ours = {
            name: value
            for name, value in environ.items()
            if name.startswith(PREFIX)
            and not name.startswith(_IGNORED_PREFIX)
            and name not in _NOT_SETTINGS
            and value
        }
        for name in sorted(ours.keys() & SHORT_NAMES.keys()):
            path, text = SHORT_NAMES[name], ours[name]
            if name != "CLINVK_DEBUG":
                self._put(name, path, text)
            elif text.lower() in _TRUE:
                self._put(name, path, "debug")
            elif text.lower() not in _FALSE:
                self._put(name, path, text)
        long_names = ours.keys() - SHORT_NAMES.keys()
        for name in sorted(long_names, key=lambda name: (name.count("__"), name)):
            self._put(name, self._path(name), ours[name])

    def _path(self, name: str) -> tuple[str, ...]:
        """The key path a variable names; keys of a table of plain values keep their case."""
        path: list[str] = []
        place: Place | None = self._root
        parts = name.removeprefix(PREFIX).split("__")
        for index, part in enumerate(parts):
            if place and place.kind == "table":
                values = fields.child(place, part)
                if values and values.kind != "section":
                    return (*path, "__".join(parts[index:]))
            path.append(part.lower())
            place = fields.child(place, path[-1]) if place else None
        return tuple(path)

    def _put(self, name: str, path: tuple[str, ...], text: str) -> None:
        place: Place | None = self._root
        values = self.values
        for key in path[:-1]:
            place = fields.child(place, key) if place else None
            values = values.setdefault(key, {})
            if not isinstance(values, dict):
                return  # the shorter variable holds something that is no mapping: reported there
        place = fields.child(place, path[-1]) if place else None
        try:
            values[path[-1]] = _decoded(text, place) if place else text
        except ValueError:
            raise ConfigError(f"{'.'.join(path)}: is not a JSON array ({name})") from None
        self.origins[path] = name


def built_in_backends() -> dict[str, Any]:
    """The built-in backends as plain values; the embedded agents run under this interpreter."""
    return {
        "claude": {
            "driver": "claude",
            "command": ["claude"],
            "pass_environment": ["ANTHROPIC_*", "CLAUDE_*"],
        },
        "codex": {
            "driver": "codex",
            "command": ["codex"],
            "pass_environment": ["OPENAI_*", "CODEX_*"],
        },
        "gemini": {
            "driver": "acp",
            "command": ["gemini", "--acp"],
            "pass_environment": ["GEMINI_*", "GOOGLE_*"],
        },
        "local": {
            "driver": "acp",
            "command": [sys.executable, "-P", "-m", "clinvkd.agents.local"],
        },
        "echo": {
            "driver": "acp",
            "command": [sys.executable, "-P", "-m", "clinvkd.agents.echo"],
        },
    }


def home_directory(environ: Mapping[str, str]) -> Path:
    """The directory of clinvk's files: `CLINVK_HOME`, else `.clinvk` in the home directory."""
    named = environ.get("CLINVK_HOME")
    return _expanded(named, environ) if named else _user_home(environ) / ".clinvk"


def config_path(path: Path | None, environ: Mapping[str, str]) -> tuple[Path, bool]:
    """The configuration file, and whether somebody named it, so that it has to exist."""
    if path is not None:
        return path, True
    if named := environ.get("CLINVK_CONFIG"):
        return _expanded(named, environ), True
    return home_directory(environ) / "config.yaml", False


def _user_home(environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME")
    return Path(home) if home else Path.home()


def _expanded(text: str, environ: Mapping[str, str]) -> Path:
    if text == "~" or text.startswith("~/"):
        return _user_home(environ) / text[2:]
    return Path(text)


def _fill_empty_sections(values: dict[str, Any], place: Place) -> None:
    """A section whose keys are all commented out is an empty section, not `null`."""
    for key, value in values.items():
        inside = fields.child(place, key)
        if inside is None or inside.kind not in ("section", "table"):
            continue
        if value is None:
            values[key] = {}
        elif isinstance(value, dict):
            _fill_empty_sections(value, inside)


def _decoded(text: str, place: Place) -> Any:
    """The value a variable's text stands for.

    Text that fits no such value stays text, so that the validation names what is allowed; only a
    broken JSON array is a `ValueError`, as a command could be any text.
    """
    if place.nullable and text == "null":
        return None
    match place.kind:
        case "bool":
            return True if text.lower() in _TRUE else False if text.lower() in _FALSE else text
        case "int" if re.fullmatch(r"[-+]?[0-9]{1,20}", text):
            return int(text)
        case "float" if re.fullmatch(r"[-+]?[0-9]{1,20}(\.[0-9]{1,20})?", text):
            return float(text)
        case "list" if not text.startswith("["):
            if place.accepts_text:
                return text
            return [word.strip() for word in text.split(",") if word.strip()]
        case "list":
            return json.loads(text)
        case "section" | "table" | "any":
            try:
                return json.loads(text)
            except ValueError:
                return text
        case _:
            return text
