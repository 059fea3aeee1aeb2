"""clinvk as a launch agent of macOS; the keys are those of launchd.plist(5)."""

from __future__ import annotations

import plistlib
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .installation import Command, File, Installation
from .launchd_socket import LABEL, LISTENERS


class Launchd:
    """The property list, and the verbs of launchctl(1)."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._domain = f"gui/{installation.user}"
        self._target = f"{self._domain}/{LABEL}"
        self._file = installation.home / "Library" / "LaunchAgents" / f"{LABEL}.plist"
        self._log = installation.home / "Library" / "Logs" / "clinvk" / "clinvk.log"

    def folders(self) -> Sequence[Path]:
        """Folders that must exist, beside those of the files: launchd makes none."""
        return (self._log.parent,)

    def files(self) -> Sequence[File]:
        """All files of an installation."""
        text = plistlib.dumps(self.property_list(), sort_keys=False).decode()
        return (File(self._file, text),)

    def unwanted(self) -> Sequence[Path]:
        """What an earlier installation may have written, and must not be there now: nothing."""
        return ()

    def removable(self) -> Sequence[Path]:
        """All that an installation may have written, whatever the configuration is now."""
        return (self._file,)

    def property_list(self) -> dict[str, Any]:
        """The job: launchd expands neither `~` nor variables, so everything is absolute."""
        installation = self._installation
        return {
            "Label": LABEL,
            "ProgramArguments": [*installation.program, "serve", "--log-file", str(self._log)],
            "RunAtLoad": True,
            # Exit status 0 is final; a wrong configuration ends with it, see `clinvkd.cli`.
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": 10,
            "ExitTimeOut": 45,
            "AbandonProcessGroup": False,
            "ProcessType": "Interactive",  # Background would slow the agents down
            "EnvironmentVariables": installation.variables(),
            "StandardOutPath": str(self._log),
            "StandardErrorPath": str(self._log),
            "SoftResourceLimits": {"NumberOfFiles": 8192, "Core": 0},
            "HardResourceLimits": {"NumberOfFiles": 65_536, "Core": 0},
            "Sockets": {LISTENERS: self._sockets()},
        }

    def enable(self, *, changed: bool) -> Sequence[Command]:
        """What makes it run with this file; without a change a running one is left alone."""
        enabled = Command(("launchctl", "enable", self._target))
        return [*(self.stop() if changed else ()), enabled, *self.start()]

    def disable(self) -> Sequence[Command]:
        """What ends it, before its file is removed."""
        return self.stop()

    def removed(self) -> Sequence[Command]:
        """What tells the manager that the file is gone."""
        return ()

    def start(self) -> Sequence[Command]:
        """What starts it; it is loaded already unless it was stopped."""
        return [
            Command(("launchctl", "bootstrap", self._domain, str(self._file)), may_fail=True),
            Command(("launchctl", "kickstart", self._target)),
        ]

    def stop(self) -> Sequence[Command]:
        """What stops it; unloaded, or the next connection would start it again."""
        return [Command(("launchctl", "bootout", self._target), may_fail=True)]

    def restart(self) -> Sequence[Command]:
        """What restarts it; who connects meanwhile waits at the socket."""
        return [Command(("launchctl", "kickstart", "-k", self._target))]

    def status(self) -> Sequence[Command]:
        """What tells how it is."""
        return [Command(("launchctl", "print", self._target))]

    def logs(self, *, lines: int, follow: bool) -> Sequence[Command]:
        """What shows the end of its log; -F goes on with the new file after a rotation."""
        return [Command(("tail", "-n", str(lines), *(("-F",) if follow else ()), str(self._log)))]

    def _sockets(self) -> list[dict[str, Any]]:
        server = self._installation.settings.server
        if server.port == 0:  # launchd would take another one at every start
            raise ConfigError("server.port: launchd listens for clinvk and needs a port above 0")
        port: dict[str, Any] = {
            "SockNodeName": server.host,
            "SockServiceName": str(server.port),
            "SockType": "stream",
        }
        with suppress(ValueError):  # a name has sockets of every family
            port["SockFamily"] = f"IPv{ip_address(server.host).version}"
        if not server.unix_socket:
            return [port]
        mode = int(server.unix_socket_mode, 8)
        return [port, {"SockPathName": server.unix_socket, "SockPathMode": mode}]
