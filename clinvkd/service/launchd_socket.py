"""Takes listening sockets from launchd: launch_activate_socket(3), through ctypes."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any

from ..errors import ConfigError

LABEL = "com.clinvk.server"
"""What our job of launchd is called."""

LISTENERS = "Listeners"
"""What its sockets are called in the property list."""

_REASONS = {
    errno.ENOENT: "the property list has no socket of that name",
    errno.ESRCH: "launchd did not start this process",
    errno.EALREADY: "it was taken already",
}


def activate(name: str, library: Any = None) -> list[int]:
    """The descriptors of the sockets called `name` in the property list; one name may have several.

    Args:
        library: what holds `launch_activate_socket` and `free`; by default what is loaded.

    Raises:
        ConfigError: they cannot be had.
    """
    functions = ctypes.CDLL(None) if library is None else library
    descriptors = ctypes.POINTER(ctypes.c_int)()
    count = ctypes.c_size_t()
    # int launch_activate_socket(const char *name, int **fds, size_t *cnt): 0, or an errno.
    status = functions.launch_activate_socket(
        name.encode(), ctypes.byref(descriptors), ctypes.byref(count)
    )
    if status:
        reason = _REASONS.get(status) or os.strerror(status)
        raise ConfigError(f"the socket {name!r} cannot be taken from launchd: {reason}")
    try:
        return descriptors[: count.value]
    finally:
        functions.free(descriptors)
