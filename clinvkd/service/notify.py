"""Tells systemd how the daemon is: sd_notify(3), one datagram a message.

Where no service manager listens, everything here does nothing.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress

_MICROSECONDS = 1_000_000
_PATIENCE = 1.0  # seconds a message waits for room; the loop stands still meanwhile


class ServiceManager:
    """The service manager that started this process.

    Its variables are taken out of the environment: they concern nobody else.

    Args:
        environ: the daemon's environment; `NOTIFY_SOCKET` and `WATCHDOG_*` leave it.

    Attributes:
        listens: whether anybody wants to be told.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        address = environ.pop("NOTIFY_SOCKET", "")
        # A leading @ stands for the NUL of an abstract name.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.listens = address.startswith(("/", "@"))
        microseconds = environ.pop("WATCHDOG_USEC", "")
        meant = environ.pop("WATCHDOG_PID", "") in ("", str(os.getpid()))
        self._period: float | None = None
        if self.listens and meant and microseconds.isdecimal() and int(microseconds):
            self._period = int(microseconds) / _MICROSECONDS / 2
        self._timer: asyncio.TimerHandle | None = None

    def ready(self, status: str) -> None:
        """All listeners are open, or a reload is done."""
        self._tell(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """The configuration is being read again; `ready` ends it."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS=Reading the configuration again.")

    def stopping(self, seconds: float) -> None:
        """The stop has begun, and may take so many seconds, whatever limit the unit has."""
        limit = int(seconds * _MICROSECONDS)
        self._tell(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={limit}\nSTATUS=Ending what still runs.")

    def watch(self) -> None:
        """Report from the running event loop, as often as the watchdog wants, that it is alive.

        A timer of the loop and no thread: a loop that is blocked has to be missed.
        """
        if self._period is not None:
            self._tell("WATCHDOG=1", 0)  # without room there are others in front of it
            self._timer = asyncio.get_running_loop().call_later(self._period, self.watch)

    def unwatch(self) -> None:
        """Report no more; before the loop is closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self, message: str, patience: float = _PATIENCE) -> None:
        if not self.listens:
            return
        # Whoever started us may be gone; that is no reason to fail.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(patience)
            sender.connect(self._address)
            sender.send(message.encode())
