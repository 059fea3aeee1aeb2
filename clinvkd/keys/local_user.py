"""Which user the process at the other end of a connection belongs to. Linux only.

A unix socket knows by itself. Of a TCP connection over loopback the other end is a socket of this
machine, too, and the kernel tells whose: by a question for that one socket (sock_diag(7), some
10 µs), or where that is not allowed by the list of all (proc(5), up to some 10 ms).
"""

from __future__ import annotations

import os
import re
import socket
import stat
import struct
import sys
from contextlib import suppress
from pathlib import Path

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_ANY_STATE = 0xFFFFFFFF
_NO_COOKIE = 0xFFFFFFFF

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port id
_QUESTION = struct.Struct("=BBBxI")  # family, protocol, extensions, states
_SOCKET = struct.Struct("!HH16s16s")  # ports and addresses of both ends, as on the wire
_REST = struct.Struct("=III")  # interface, cookie
_ANSWER = struct.Struct("=BBBB48xIIIII")  # family, state, timer, retries; ..., uid, inode
_CREDENTIALS = struct.Struct("=iII")  # pid, uid, gid
_SO_PEERGROUPS = 59
_MOST_GROUPS = 256  # as many as socket.getsockopt has room for

_ROW = re.compile(r"\s*\d+: ([0-9A-F]+:[0-9A-F]{4}) ([0-9A-F]+:[0-9A-F]{4}) (?:\S+ +){4}(\d+)")


def peer_user(connection: socket.socket) -> int | None:
    """The user id of whoever holds the other end of a connection; None if it cannot be told.

    Blocking, but never for the peer: it only asks the kernel.
    """
    if sys.platform != "linux":
        return None
    with suppress(OSError, ValueError):
        match connection.family:
            case socket.AF_UNIX:
                options = connection.getsockopt(
                    socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
                )
                return int(_CREDENTIALS.unpack(options)[1])
            case socket.AF_INET | socket.AF_INET6 as family:
                theirs, ours = connection.getpeername()[:2], connection.getsockname()[:2]
                try:
                    return ask_kernel(family, theirs, ours)
                except OSError:  # no such kind of socket here: a container, a filter of calls
                    return look_up(family, theirs, ours)
    return None


def let_in_by_group(connection: socket.socket) -> bool:
    """Whether the other end may use our unix socket as a member of the group that it is open to.

    Its file says which: whoever made it gave it the group and the mode.
    """
    if sys.platform != "linux" or connection.family != socket.AF_UNIX:
        return False
    try:
        file = Path(os.fsdecode(connection.getsockname())).stat()
        credentials = connection.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
        )
        groups = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _MOST_GROUPS)
    except OSError:
        return False  # it has gone, the file has, or the socket has no name
    _, _, own_group = _CREDENTIALS.unpack(credentials)
    members = {own_group, *struct.unpack(f"={len(groups) // 4}I", groups)}
    return bool(file.st_mode & stat.S_IWGRP) and file.st_gid in members


def ask_kernel(family: int, local: tuple[str, int], remote: tuple[str, int]) -> int | None:
    """The owner of the one TCP socket between two addresses, as sock_diag tells it.

    Raises:
        OSError: it cannot be asked.
    """
    addresses = [socket.inet_pton(family, host).ljust(16, b"\0") for host, _ in (local, remote)]
    body = (
        _QUESTION.pack(family, socket.IPPROTO_TCP, 0, _ANY_STATE)
        + _SOCKET.pack(local[1], remote[1], *addresses)
        + _REST.pack(0, _NO_COOKIE, _NO_COOKIE)
    )
    size = _HEADER.size + len(body)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(1)
        netlink.send(_HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0) + body)
        answer = netlink.recv(4096)
    _, kind, *_ = _HEADER.unpack_from(answer)
    if kind != _SOCK_DIAG_BY_FAMILY:
        return None  # there is no such socket
    *_, user, inode = _ANSWER.unpack_from(answer, _HEADER.size)
    return user if inode else None  # without inode nobody holds it any more


def look_up(family: int, local: tuple[str, int], remote: tuple[str, int]) -> int | None:
    """The same from the list of all TCP sockets.

    Raises:
        OSError: there is no such list.
    """
    table = Path("/proc/net/tcp6" if family == socket.AF_INET6 else "/proc/net/tcp")
    wanted = (_written(family, *local), _written(family, *remote))
    with table.open(encoding="ascii") as rows:
        for row in rows:
            match = _ROW.match(row)
            if match is not None and match.group(1, 2) == wanted:
                return int(match[3])
    return None


def _written(family: int, host: str, port: int) -> str:
    """An address as the list writes it: words of 32 bits in the machine's own order."""
    packed = socket.inet_pton(family, host)
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"
