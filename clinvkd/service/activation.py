"""Listening sockets that a service manager opened before it started us.

They stay open over a restart, so no connection is refused meanwhile: it waits.
systemd passes them as open descriptors (sd_listen_fds(3)), launchd on request.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from ipaddress import ip_address

from ..errors import ConfigError
from .launchd_socket import LABEL, LISTENERS, activate

_FIRST = 3  # SD_LISTEN_FDS_START


def under_launchd(environ: Mapping[str, str]) -> bool:
    """Whether launchd started this process as our agent; a terminal's programs have a 0 there."""
    return environ.get("XPC_SERVICE_NAME") == LABEL


def passed_sockets(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """The listening sockets we were given, none if we have to open our own.

    Args:
        environ: the daemon's environment; `LISTEN_*` leaves it.

    Raises:
        ConfigError: a descriptor is no listening stream socket.
    """
    if sys.platform == "darwin" and under_launchd(environ):
        return [_listener(number) for number in activate(LISTENERS)]
    meant = environ.pop("LISTEN_PID", "") == str(os.getpid())
    count = environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if not meant or not count.isdecimal():
        return []
    return [_listener(number) for number in range(_FIRST, _FIRST + int(count))]


def name_of(listener: socket.socket) -> str:
    """Where a socket listens, as `HOST:PORT` or `unix:PATH`."""
    address = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{address if isinstance(address, str) else os.fsdecode(address)}"
    host, port = address[:2]
    return f"[{host}]:{port}" if listener.family == socket.AF_INET6 else f"{host}:{port}"


def is_local(listener: socket.socket) -> bool:
    """Whether only this machine can connect to it."""
    if listener.family == socket.AF_UNIX:
        return True
    with suppress(ValueError):
        return ip_address(listener.getsockname()[0]).is_loopback
    return False


def _listener(number: int) -> socket.socket:
    try:
        os.set_inheritable(number, False)  # agents must not get it
        listener = socket.socket(fileno=number)
    except OSError as error:
        raise ConfigError(f"descriptor {number} was passed as a socket: {error.strerror}") from None
    if listener.type != socket.SOCK_STREAM or not _accepts(listener):
        listener.close()
        raise ConfigError(
            f"descriptor {number} was passed as a socket, but it is no listening stream"
            " (ListenStream=, Accept=no)"
        )
    listener.setblocking(False)
    return listener


def _accepts(listener: socket.socket) -> bool:
    # macOS has the constant but does not answer for it; there launchd listens by definition.
    return sys.platform == "darwin" or bool(
        listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    )
