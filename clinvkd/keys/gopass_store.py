"""Where a gopass or pass store keeps a secret, for those who have no gopass to ask."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError

_SETTING = "server.api_keys_gopass_path"


def file_of(path: str, environ: Mapping[str, str]) -> Path:
    """The GnuPG file of the secret `path`, which exists and lies inside its store.

    Raises:
        ConfigError: there is none.
    """
    mounts = _mounts(environ)
    parts = path.split("/")
    # The longest name of a mount that `path` begins with; the root's name is empty.
    names = ("/".join(parts[:length]) for length in range(len(parts) - 1, -1, -1))
    mount = next((name for name in names if name in mounts), None)
    if mount is None:
        raise ConfigError(f"{_SETTING}: there is no gopass, and no store in this user's home")
    root = mounts[mount].resolve()
    inside = path[len(mount) :].lstrip("/")
    file = (root / f"{inside}.gpg").resolve()
    if not file.is_relative_to(root):
        raise ConfigError(f"{_SETTING}: {path!r} leads out of the store {root}")
    if not file.is_file():
        if (root / f"{inside}.age").is_file():
            raise ConfigError(f"{_SETTING}: {path!r} is encrypted with age: install gopass")
        raise ConfigError(f"{_SETTING}: there is no {path!r} in the store {root}")
    return file


def _mounts(environ: Mapping[str, str]) -> dict[str, Path]:
    """The stores by the name they are mounted at; the root store under the empty name."""
    home = Path(environ.get("HOME") or Path.home())
    folder = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "gopass"
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "gopass"
    try:
        texts = _configured(folder)
    except (OSError, ValueError, configparser.Error, yaml.YAMLError):
        raise ConfigError(f"{_SETTING}: the configuration in {folder} cannot be read") from None
    mounts = {name: _directory(text, home) for name, text in texts.items()}
    if "" not in mounts:
        usual = (data / "stores" / "root", home / ".password-store")
        root = next((place for place in usual if place.is_dir()), None)
        if root is not None:
            mounts[""] = root
    return mounts


def _configured(folder: Path) -> dict[str, str]:
    """The mounts in gopass's own configuration: in the form of git's, or the older YAML."""
    if (file := folder / "config").is_file():
        parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
        parser.read_string(file.read_text(encoding="utf-8"), str(file))
        mounts = {}
        for section in parser.sections():
            kind, _, name = section.partition(" ")
            path = parser.get(section, "path", fallback=None)
            if kind == "mounts" and path:
                mounts[name.strip('"')] = path.strip('"')
        return mounts
    if (file := folder / "config.yml").is_file():
        match yaml.safe_load(file.read_text(encoding="utf-8")):
            case {"root": {"path": str(root)}, **rest} | {"path": str(root), **rest}:
                return {"": root, **_older_mounts(rest.get("mounts"))}
    return {}


def _older_mounts(value: Any) -> dict[str, str]:
    mounts = {}
    for name, mount in (value if isinstance(value, dict) else {}).items():
        match mount:
            case str(path) | {"path": str(path)}:
                mounts[str(name)] = path
    return mounts


def _directory(text: str, home: Path) -> Path:
    # Older versions put the store's kind before its path: "gpgcli-gitcli-fs+file:///home/...".
    path = text.rpartition("file://")[2]
    return home / path[2:] if path.startswith("~/") else Path(path)
