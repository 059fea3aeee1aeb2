"""Opens a directory by its real path, following no link on the way.

A path that was checked as a string may lead elsewhere when it is used: somebody who can write
above it swaps a directory for a symbolic link. So the string is never used again: it is opened
with every link refused, which makes the descriptor stand for the very place that was checked.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path
from typing import Final

_OPENAT2: Final = 437
"""Number of the system call, the same on every architecture CPython runs on but alpha."""

_RESOLVE_NO_SYMLINKS: Final = 0x04  # from <linux/openat2.h>; it refuses magic links, too
_AT_FDCWD: Final = -100
_NOT_THERE: Final = (errno.ENOSYS, errno.EPERM, errno.E2BIG)
"""An old kernel, a system call filter, a kernel that knows less of the structure."""

# A path descriptor needs no right to list the directory, as `chdir` needs none.
_HOW: Final = os.O_PATH if sys.platform == "linux" else os.O_RDONLY
_FLAGS: Final = _HOW | os.O_DIRECTORY | os.O_CLOEXEC


class _OpenHow(ctypes.Structure):
    """``struct open_how`` of openat2(2)."""

    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    ]


def open_directory(path: Path) -> int:
    """A descriptor of the directory at `path`; the caller closes it.

    Args:
        path: absolute, with all links resolved.

    Raises:
        OSError: there is none, or there is a symbolic link in the path now.
    """
    if sys.platform == "linux":
        try:
            return _open_at_once(path)
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise
    return _walk(path)


def _open_at_once(path: Path) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    how = _OpenHow(flags=_FLAGS, resolve=_RESOLVE_NO_SYMLINKS)
    descriptor = library.syscall(
        ctypes.c_long(_OPENAT2),
        ctypes.c_int(_AT_FDCWD),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
    return int(descriptor)


def _walk(path: Path) -> int:
    """The same, one component after the other."""
    descriptor = os.open(path.anchor, _FLAGS)
    for name in path.parts[1:]:
        above = descriptor
        try:
            descriptor = os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=above)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None
        finally:
            os.close(above)
    return descriptor
