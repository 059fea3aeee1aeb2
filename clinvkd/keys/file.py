"""The key file that `clinvk keys` writes, and the one that holds a client's own key."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import ConfigError
from .key import Key, read_lines

KEY_FILE = "api-keys"
"""Name of the file of digests in clinvk's directory."""

CLIENT_KEY_FILE = "client-key"
"""Name of the file with the key that programs of this user show; one line, mode 0600."""

_LARGEST = 1 << 20  # bytes
_HEADER = "# API keys of clinvk, as digests. Written by `clinvk keys`.\n"


def read(path: Path, *, private: bool = True) -> list[Key]:
    """The keys in a file of digests.

    Args:
        private: nobody but its owner, this user, may have access to it.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: it cannot be read, others may change it, or a line means nothing.
    """
    try:
        with path.open(encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            if private and (status.st_mode & 0o077 or status.st_uid != os.geteuid()):
                raise ConfigError(
                    f"{path}: must belong to the user that runs clinvk and have mode 0600"
                    f" (chmod 600), not {status.st_mode & 0o777:04o}"
                )
            return read_lines(file.read(_LARGEST).splitlines())
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {_reason(error)}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def change(path: Path, edit: Callable[[list[Key]], Sequence[Key]]) -> None:
    """Replace the keys of a file by what `edit` makes of them; all of it or nothing.

    Args:
        edit: gets the keys of the file, none if there is no file, and gives those to keep.

    Raises:
        ConfigError: the file cannot be read or written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ConfigError(f"{path.parent}: cannot be used: {_reason(error)}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # another `clinvk keys` waits
        try:
            before = read(path)
        except FileNotFoundError:
            before = []
        write_private(path, _HEADER + "".join(key.line() + "\n" for key in edit(before)))
    finally:
        os.close(folder)


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read; it is there whole or not at all.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # mode 0600
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {_reason(error)}") from None


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "is not UTF-8"
