"""Writes to the journal of systemd by its own protocol, so that records keep their fields.

The protocol: https://systemd.io/JOURNAL_NATIVE_PROTOCOL
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

SOCKET = Path("/run/systemd/journal/socket")
"""Where the journal of this machine is written to."""

PRIORITIES: Mapping[str, int] = {
    "critical": 2, "exception": 3, "error": 3, "warning": 4, "info": 6, "debug": 7, "notset": 7,
}  # fmt: skip
"""Levels of the log as priorities of syslog."""


def is_stderr(environ: Mapping[str, str]) -> bool:
    """Whether standard error leads to the journal, as `JOURNAL_STREAM` says (`device:inode`)."""
    try:
        status = os.fstat(2)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def datagram(fields: Mapping[str, str]) -> bytes:
    """Fields as the journal takes them; one with a line break goes with its length before it."""
    parts = []
    for name, value in fields.items():
        data = value.encode("utf-8", "surrogateescape")
        if b"\n" in data:
            parts += [name.encode(), b"\n", len(data).to_bytes(8, "little"), data, b"\n"]
        else:
            parts += [name.encode(), b"=", data, b"\n"]
    return b"".join(parts)


class Journal:
    """The way to the journal. A record that cannot be written is lost without a word.

    Args:
        path: of its socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def write(self, record: bytes) -> None:
        """Write one record."""
        try:
            self._socket.sendto(record, self._path)
        except OSError as error:
            if error.errno in (errno.EMSGSIZE, errno.ENOBUFS):
                with suppress(OSError):
                    self._write_file(record)

    def close(self) -> None:
        """Write no more."""
        self._socket.close()

    def _write_file(self, record: bytes) -> None:
        """What is too long for a datagram goes as a sealed file in memory."""
        file = os.memfd_create("clinvk-log", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        try:
            os.write(file, record)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
            passed = array.array("i", [file])
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)]
            self._socket.sendmsg([], ancillary, 0, self._path)
        finally:
            os.close(file)
