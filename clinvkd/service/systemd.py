"""clinvk as a unit of systemd: of the user's own manager, or of the machine's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from ..errors import ConfigError
from .installation import Command, File, Installation
from .system import CONFIG

_SERVICE, _SOCKET = "clinvk.service", "clinvk.socket"
_DEFAULT = "127.0.0.1:8080"
_PACKAGED = ("/usr/bin/clinvk",)
_SYSUSERS = Path("/etc/sysusers.d/clinvk.conf")
_TMPFILES = Path("/etc/tmpfiles.d/clinvk.conf")
_CONFIGURATION = "# Configuration of clinvk: every key has a default; `clinvk config show`.\n"


class Systemd:
    """The units, taken from those that are shipped.

    A package brings them itself; then only the drop-in with the environment is written.

    Args:
        root: where a package puts units.
    """

    def __init__(self, installation: Installation, root: Path = Path("/usr/lib/systemd")) -> None:
        self._installation = installation
        self._scope = "system" if installation.system else "user"
        self._systemctl = ("systemctl",) if installation.system else ("systemctl", "--user")
        self._packaged = (
            installation.program == _PACKAGED and (root / self._scope / _SERVICE).is_file()
        )
        config = installation.environ.get("XDG_CONFIG_HOME") or installation.home / ".config"
        self._folder = (
            Path("/etc/systemd/system")
            if installation.system
            else Path(config) / "systemd" / "user"
        )
        self._environment_file = self._folder / f"{_SERVICE}.d" / "environment.conf"
        self._listen_file = self._folder / f"{_SOCKET}.d" / "listen.conf"

    def folders(self) -> Sequence[Path]:
        """Folders that must exist, beside those of the files."""
        return ()

    def files(self) -> Sequence[File]:
        """All files of an installation."""
        files = [File(self._environment_file, self._environment())]
        if listen := self._listen():
            files.append(File(self._listen_file, listen))
        if self._packaged:
            return files
        program, *arguments = self._installation.program
        command = " ".join([quoted(program, dollars="$"), *map(quoted, arguments)])
        for name in (_SERVICE, _SOCKET):
            text = shipped(f"{self._scope}/{name}")
            text = text.replace("ExecStart=/usr/bin/clinvk ", f"ExecStart={command} ")
            files.append(File(self._folder / name, text))
        if self._installation.system:
            files += [
                File(_SYSUSERS, shipped("clinvk.sysusers.conf")),
                File(_TMPFILES, shipped("clinvk.tmpfiles.conf")),
                File(CONFIG, _CONFIGURATION, kept=True),
            ]
        return files

    def unwanted(self) -> Sequence[Path]:
        """What an earlier installation may have written, and must not be there now."""
        return () if self._listen() else (self._listen_file,)

    def removable(self) -> Sequence[Path]:
        """All that an installation may have written, whatever the configuration is now."""
        paths = [self._environment_file, self._listen_file]
        if not self._packaged:  # else units of these names are edited copies, and somebody's own
            paths += [self._folder / name for name in (_SERVICE, _SOCKET)]
            paths += [_SYSUSERS, _TMPFILES] if self._installation.system else []
        return paths

    def enable(self, *, changed: bool) -> Sequence[Command]:
        """What makes it run with these files; without a change a running one is left alone."""
        commands = []
        if self._installation.system and not self._packaged:
            commands += [
                Command(("systemd-sysusers", str(_SYSUSERS))),
                Command(("systemd-tmpfiles", "--create", str(_TMPFILES))),
            ]
        commands += [self._run("daemon-reload"), self._run("enable", _SOCKET, _SERVICE)]
        if changed:
            commands += self.stop()
        return [*commands, *self.start()]

    def disable(self) -> Sequence[Command]:
        """What ends it, before its files are removed."""
        return [Command((*self._systemctl, "disable", "--now", _SOCKET, _SERVICE), may_fail=True)]

    def removed(self) -> Sequence[Command]:
        """What tells the manager that the files are gone."""
        return [
            self._run("daemon-reload"),
            Command((*self._systemctl, "reset-failed", _SERVICE), may_fail=True),
        ]

    def start(self) -> Sequence[Command]:
        """What starts it, and waits until it is ready."""
        return [self._run("start", _SOCKET, _SERVICE)]

    def stop(self) -> Sequence[Command]:
        """What stops it; the socket too, or the next connection would start it again."""
        return [self._run("stop", _SERVICE, _SOCKET)]

    def restart(self) -> Sequence[Command]:
        """What restarts it; who connects meanwhile waits at the socket."""
        return [self._run("restart", _SERVICE)]

    def status(self) -> Sequence[Command]:
        """What tells how it is."""
        return [self._run("status", "--no-pager", _SERVICE, _SOCKET)]

    def logs(self, *, lines: int, follow: bool) -> Sequence[Command]:
        """What shows the end of its log."""
        unit = "--unit" if self._installation.system else "--user-unit"
        more = ("--follow",) if follow else ("--no-pager",)
        return [Command(("journalctl", f"{unit}={_SERVICE}", f"--lines={lines}", *more))]

    def _run(self, *words: str) -> Command:
        return Command((*self._systemctl, *words))

    def _listen(self) -> str | None:
        """A drop-in for the socket, if the configuration has another address than the unit."""
        server = self._installation.settings.server
        host = {"localhost": "127.0.0.1"}.get(server.host, server.host)
        wanted = [f"[{host}]:{server.port}" if ":" in host else f"{host}:{server.port}"]
        # A mode that nobody set is the unit's: 0660 for the machine, where a group may come in.
        mode = server.unix_socket_mode if "unix_socket_mode" in server.model_fields_set else None
        if wanted == [_DEFAULT] and not server.unix_socket and mode is None:
            return None
        if server.port == 0 or not _is_address(host):
            raise ConfigError(
                f"server.host, server.port: systemd listens for clinvk and needs an IP address and"
                f" a port above 0, not {host!r} and {server.port}"
            )
        own = "/run/clinvk/clinvk.sock" if self._installation.system else "%t/clinvk/clinvk.sock"
        wanted.append(server.unix_socket.replace("%", "%%") or own)
        lines = "".join(f"ListenStream={address}\n" for address in wanted)
        lines += f"SocketMode={mode}\n" if mode else ""
        return f"# Written by `clinvk service install`.\n[Socket]\nListenStream=\n{lines}"

    def _environment(self) -> str:
        lines = [
            f"Environment={quoted(f'{name}={value}', dollars='$', always=True)}\n"
            for name, value in self._installation.variables().items()
        ]
        return (
            "# Written by `clinvk service install` from the environment of the shell it ran in.\n"
            "[Service]\n" + "".join(lines)
        )


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def shipped(name: str) -> str:
    """A unit file as it is shipped: in the wheel beside this module, in a checkout at its root."""
    installed = Path(__file__).parent / "units"
    folder = installed if installed.is_dir() else Path(__file__).parents[2] / "systemd"
    return (folder / name).read_text("utf-8")


def quoted(word: str, *, dollars: str = "$$", always: bool = False) -> str:
    """A word as units write it, meaning exactly itself (systemd.syntax(7), systemd.service(5)).

    Args:
        dollars: how a dollar sign is written: variables are replaced in the arguments of a command
            line, but not in the path of its program, nor outside of command lines.
        always: with quotation marks, needed or not.
    """
    text = word.replace("%", "%%").replace("$", dollars)
    if not always and re.fullmatch(r"[\w./:@%$+=,-]+", text):
        return text
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'
