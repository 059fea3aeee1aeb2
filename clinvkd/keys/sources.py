"""Where keys come from: all configured sources together. One that fails opens no door."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import partial
from pathlib import Path

import structlog

from ..config import API_KEY_VARIABLES, ServerSettings, home_directory
from ..errors import ConfigError
from . import file, gopass
from .key import Key

_KEY = re.compile(r"[\x21-\x7e]{1,256}")
_ABSENT = re.compile(rb"#absent=(/.+)")
"""What our unit has systemd pass when there is no key file, and which file that would be."""

_SHORT = 16  # characters below which a key of a variable can be guessed

_log = structlog.get_logger(__name__)


class KeySources:
    """The sources of one daemon.

    The variables are read once and taken out of the environment, so that no program started
    later can inherit them; a process's own variables cannot change from outside anyway.

    Args:
        environ: the daemon's environment; `CLINVK_API_KEYS` and `CLINVK_API_KEY` leave it.

    Raises:
        ConfigError: a variable holds what cannot be a key.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._variables: dict[str, list[Key]] = {}
        for name in API_KEY_VARIABLES:
            if keys := _of_variable(name, environ.pop(name, "")):
                self._variables[name] = keys
        self._environ: Mapping[str, str] = environ
        self._file = home_directory(environ) / file.KEY_FILE
        self._found: Mapping[str, list[Key]] = {}

    def load(self, server: ServerSettings) -> Mapping[str, list[Key]]:
        """The keys by the name of their source. Blocking: reads files, and maybe asks gopass.

        A source that is there and has no key is told, too: all its keys may have been revoked.

        Raises:
            ConfigError: a source that is configured cannot be read.
            ConfigUnavailable: it cannot be read now.
        """
        self._found = {
            name: keys for name, read in self._all(server) if (keys := read()) is not None
        }
        if self._found:
            counts = {name: len(keys) for name, keys in self._found.items()}
            _log.info("keys read", sources=counts)
        return self._found

    def load_again(self, server: ServerSettings) -> tuple[Mapping[str, list[Key]], list[str]]:
        """As `load`, but of a source that fails the keys it had before; and what is wrong.

        So it opens no door, and keeps no other source from revoking a key.
        """
        found: dict[str, list[Key]] = {}
        problems = []
        for name, read in self._all(server):
            try:
                keys = read()
            except ConfigError as error:
                problems.append(str(error))
                keys = self._found.get(name)
            if keys is not None:
                found[name] = keys
        self._found = found
        return found, problems

    def _all(self, server: ServerSettings) -> Iterator[tuple[str, Callable[[], list[Key] | None]]]:
        """Every source that may be: its name, and what reads it, which gives None if it is not."""
        if folder := self._environ.get("CREDENTIALS_DIRECTORY"):
            # Its mode is the service manager's business: 0400, or 0440 with an ACL.
            credential = Path(folder) / file.KEY_FILE
            yield "systemd credential", partial(_of_credential, credential)
        for name in self._variables:
            yield name, partial(self._variables.get, name)
        yield str(self._file), partial(_of_file, self._file, private=True)
        if path := server.api_keys_gopass_path:
            yield gopass.NAME, partial(gopass.read, path, self._environ)


def _of_file(path: Path, *, private: bool) -> list[Key] | None:
    try:
        return file.read(path, private=private)
    except FileNotFoundError:
        return None


def _of_credential(path: Path) -> list[Key] | None:
    """The keys of a credential; None if the file that it would be of is really not there.

    Raises:
        ConfigError: there is one, but the service manager passed its absence.
    """
    try:
        absent = _ABSENT.fullmatch(path.read_bytes().strip())
    except OSError:
        absent = None  # reading it as keys tells why
    if absent is None:
        return _of_file(path, private=False)
    source = Path(os.fsdecode(absent[1]))
    try:
        source.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{source}: cannot be looked for: {error.strerror}") from None
    raise ConfigError(
        f"{source}: is there, but the service manager could not pass it when it started clinvk;"
        " restart the service"
    )


def _of_variable(name: str, text: str) -> list[Key]:
    texts = text.split(",") if name == "CLINVK_API_KEYS" else [text]
    words = [word.strip() for word in texts if word.strip()]
    if text and not words:
        raise ConfigError(f"{name}: is set, but holds no key")
    for number, word in enumerate(words, 1):
        if not _KEY.fullmatch(word):
            raise ConfigError(
                f"{name}: key {number} is not 1 to 256 printable ASCII characters without blanks"
            )
    if any(len(word) < _SHORT for word in words):
        _log.warning("a key can be guessed: use `clinvk keys generate`", source=name)
    return [Key.of(word) for word in words]
