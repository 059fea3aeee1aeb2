"""Reads the keys from a gopass store: by `gopass`, or without it by GnuPG from the store's file.

gopass is asked first because it alone knows age stores and its own agents. Debian's package of
that name is another program, so it must say that it is gopass 1. Nobody is asked for a
passphrase: the secret must be readable without one, or an agent must already know it.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from ..errors import ConfigError, ConfigUnavailable
from . import decrypt
from .gopass_store import file_of
from .key import Key
from .program import Ended, run

NAME = "gopass"
"""The source's name, for people."""

LIMIT = 10.0
"""Seconds after which a program that reads the store is killed."""

_SETTING = "server.api_keys_gopass_path"
_VERSION = re.compile(rb"gopass 1\.\d+\.\d+")
_KEY = re.compile(r"[\x21-\x7e]{16,256}")
_ENVIRONMENT = {
    "GOPASS_GPG_OPTS": "--pinentry-mode=error",
    "GOPASS_NO_REMINDER": "true",
    "CHECKPOINT_DISABLE": "true",
    "LC_ALL": "C",
}

_NOT_INITIALISED = 6  # exit statuses of gopass
_NOT_READ = 11


def read(path: str, environ: Mapping[str, str], limit: float = LIMIT) -> list[Key]:
    """The keys in the first line of a secret, with commas between them. Blocking: up to 20 s.

    Raises:
        ConfigError: there is no such secret, or it holds no keys.
        ConfigUnavailable: it cannot be read now: locked, or no answer within `limit` seconds.
    """
    program = shutil.which("gopass", path=environ.get("PATH", os.defpath))
    try:
        if program and _is_gopass(program, environ, limit):
            secret = _by_gopass(program, path, environ, limit)
        else:
            secret = _by_gnupg(path, environ, limit)
    except TimeoutError:
        raise ConfigUnavailable(
            f"{_SETTING}: reading {path!r} took more than {limit:g} s and was ended; is the key"
            " locked?"
        ) from None
    except OSError as error:
        raise ConfigError(f"{_SETTING}: {path!r} cannot be read: {error.strerror}") from None
    return _keys(secret, path)


def _is_gopass(program: str, environ: Mapping[str, str], limit: float) -> bool:
    told = run([program, "--version"], {**environ, **_ENVIRONMENT}, limit)
    return told.status == 0 and _VERSION.match(told.output) is not None


def _by_gopass(program: str, path: str, environ: Mapping[str, str], limit: float) -> bytes:
    # Without --nosync it may talk to the store's remote first.
    command = [program, "show", "--nosync", "--password", "--", path]
    told = run(command, {**environ, **_ENVIRONMENT}, limit)
    match told:
        case Ended(0, secret, _):
            if len(secret.splitlines()) > 1:
                # Asked for a folder it draws a tree, and says that all went well.
                raise ConfigError(f"{_SETTING}: {path!r} is a folder of the store, not a secret")
            return secret
        case Ended(status, _, _) if status == _NOT_INITIALISED:
            raise ConfigError(f"{_SETTING}: gopass has no store for this user (gopass init)")
        case Ended(status, _, complaint) if status == _NOT_READ and _is_missing(complaint):
            raise ConfigError(f"{_SETTING}: there is no {path!r} in the gopass store")
        case Ended(status, _, _) if status == _NOT_READ:
            raise ConfigUnavailable(
                f"{_SETTING}: gopass cannot decrypt {path!r} without asking: unlock its key first,"
                f" or look what `gopass show {path}` says"
            )
        case Ended(status, _, _):
            raise ConfigError(f"{_SETTING}: gopass ended with status {status} for {path!r}")


def _is_missing(complaint: bytes) -> bool:
    return b"not in the password store" in complaint.lower()


def _by_gnupg(path: str, environ: Mapping[str, str], limit: float) -> bytes:
    file = file_of(path, environ)
    # A process of its own: python-gnupg knows no limit of time. It finds the library wherever
    # this process found its own.
    command = [sys.executable, "-P", "-m", decrypt.__name__, str(file)]
    search = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    told = run(command, {**environ, "PYTHONPATH": search, "LC_ALL": "C"}, limit)
    match told.status:
        case 0:
            return told.output
        case decrypt.NO_GNUPG:
            raise ConfigError(f"{_SETTING}: needs gopass (https://gopass.pw) or gpg on the PATH")
        case decrypt.NO_SECRET_KEY:
            raise ConfigError(f"{_SETTING}: {file} is not encrypted for a key of this user")
        case decrypt.LOCKED:
            raise ConfigUnavailable(
                f"{_SETTING}: gpg cannot decrypt {file} without asking: unlock its key first"
            )
        case _:
            raise ConfigError(f"{_SETTING}: {file} is empty or damaged")


def _keys(secret: bytes, path: str) -> list[Key]:
    """The keys of a secret's first line.

    Raises:
        ConfigError: it holds something else; what is not told.
    """
    lines = secret.decode("utf-8", "replace").splitlines()
    words = [word.strip() for word in (lines[0] if lines else "").split(",")]
    keys = [word for word in words if word]
    if not keys:
        raise ConfigError(f"{_SETTING}: the first line of {path!r} is empty")
    for number, key in enumerate(keys, 1):
        if not _KEY.fullmatch(key):
            raise ConfigError(
                f"{_SETTING}: key {number} in the first line of {path!r} is not 16 to 256"
                " printable ASCII characters"
            )
    return [Key.of(key) for key in keys]
