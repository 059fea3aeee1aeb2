"""A booted Debian with clinvk's package in it, and how clinvk is asked there."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .container import PATIENCE, Container

SERVICE, SOCKET = "clinvk.service", "clinvk.socket"
URL = "http://127.0.0.1:8080"
UNIX_SOCKET = "/run/clinvk/clinvk.sock"
CONFIGURATION = "/etc/clinvk/config.yaml"
KEYS = "/etc/clinvk/api-keys"

_DROP_IN = Path("/run/systemd/system/clinvk.service.d/test.conf")
_LOAD = Path(__file__).with_name("load.py")
_PAUSE = 0.05  # seconds between two looks at what systemd has no event for
_LONGEST = 110  # seconds an answer may take; one that waits for the watchdog takes most of them
_STREAM = ("--no-buffer", "--header", "Accept: application/x-ndjson")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller got.

    Attributes:
        status: of HTTP, 0 when there was no connection.
        body: parsed, if it is JSON.
    """

    status: int
    body: Any


@dataclass(slots=True)
class Load:
    """What became of the requests of many callers, once they have stopped.

    Attributes:
        right: how many were answered as they should.
        lost: what happened to each of the others.
    """

    right: int = 0
    lost: list[str] = field(default_factory=list)


class Machine:
    """A container in which clinvk is installed, by names of its service.

    Args:
        release: Debian's number.
    """

    def __init__(self, container: Container, release: int) -> None:
        self.container = container
        self.release = release
        self.run = container.run

    def systemctl(self, *words: str, check: bool = True) -> str:
        """Run systemctl; what it says."""
        return self.run("systemctl", *words, check=check).strip()

    def property(self, name: str, unit: str = SERVICE) -> str:
        """One of the properties that systemd keeps of a unit."""
        return self.systemctl("show", f"--property={name}", "--value", unit)

    def wait_for(self, name: str, value: str, unit: str = SERVICE) -> None:
        """Wait until a property of a unit has a value.

        Raises:
            TimeoutError: it does not get it.
        """
        deadline = time.monotonic() + PATIENCE
        while (found := self.property(name, unit)) != value:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} is {found} and not {value}: {self.journal()}")
            time.sleep(_PAUSE)

    def wait_for_log(self, text: str) -> None:
        """Wait until the service has logged something since its last start.

        Raises:
            TimeoutError: it does not.
        """
        deadline = time.monotonic() + PATIENCE
        invocation = f"_SYSTEMD_INVOCATION_ID={self.property('InvocationID')}"
        while text not in (log := self.run("journalctl", "--output=cat", invocation)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{text!r} is not in the log: {log}")
            time.sleep(_PAUSE)

    def journal(self, *more: str) -> str:
        """What systemd and clinvk have logged about the service, to the last line of it."""
        self.run("journalctl", "--sync")
        return self.run("journalctl", f"--unit={SERVICE}", "--output=cat", *more)

    def daemon(self) -> int:
        """Id of the daemon, as seen from outside.

        Raises:
            TimeoutError: there is none, or it is not alone in its group.
        """
        deadline = time.monotonic() + PATIENCE
        # An agent that starts leaves the daemon's group by itself.
        while len(found := self.container.processes(SERVICE, "daemon")) != 1:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the daemon is one of {found}: {self.journal()}")
            time.sleep(_PAUSE)
        return found.pop()

    def agents(self) -> set[int]:
        """Ids of all agents, and of what they started."""
        return self.container.processes(SERVICE) - {self.daemon()}

    @staticmethod
    def curl(prompt: str, *options: str, at: str = URL, **fields: Any) -> list[str]:
        """The command line that asks; the status is in the last line of its output."""
        return [
            "curl", "--silent", "--show-error", "--write-out", "\n%{http_code}",
            *("--max-time", str(_LONGEST)), "--header", "Content-Type: application/json", *options,
            "--data", json.dumps({"prompt": prompt, **fields}), f"{at}/api/v1/prompt",
        ]  # fmt: skip

    def ask(
        self, prompt: str, *options: str, user: str = "root", at: str = URL, **fields: Any
    ) -> Answer:
        """One prompt by curl, answered whole.

        Args:
            options: of curl.
            at: where to, an address or the path of a unix socket.
            fields: more members of the request.
        """
        if at.startswith("/"):
            options, at = (*options, "--unix-socket", at), "http://localhost"
        output = self.run(*self.curl(prompt, *options, at=at, **fields), user=user, check=False)
        body, _, status = output.rpartition("\n")
        return Answer(int(status), json.loads(body) if body.startswith("{") else body)

    def events(self, prompt: str, user: str = "root", **fields: Any) -> list[dict[str, Any]]:
        """All events of one streamed prompt, which is a success for HTTP."""
        with self.container.running(*self.curl(prompt, *_STREAM, **fields), user=user) as process:
            return events_of(process)

    @contextmanager
    def stream(self, prompt: str) -> Iterator[subprocess.Popen[str]]:
        """A prompt whose answer has begun to come, an event a line."""
        with self.container.running(*self.curl(prompt, *_STREAM)) as process:
            assert process.stdout is not None
            while '"message"' not in (line := process.stdout.readline()):
                assert line, "the stream ended before it began"
            yield process

    @contextmanager
    def load(self, callers: int = 8) -> Iterator[Load]:
        """Callers that ask over TCP all the time; their outcome is known at the end."""
        argv = self.container.beside(sys.executable, str(_LOAD), URL, str(callers))
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            found = Load()
            try:
                yield found
                found.right, found.lost = json.loads(
                    process.communicate(timeout=2 * PATIENCE)[0]
                ).values()
            finally:
                process.kill()

    @contextmanager
    def drop_in(self, *lines: str) -> Iterator[None]:
        """Other settings of the service, until the end; it has to be restarted to get them."""
        path = self.container.path(str(_DROP_IN))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(["[Service]", *lines, ""]))
        self.systemctl("daemon-reload")
        try:
            yield
        finally:
            path.unlink()
            self.systemctl("daemon-reload")

    @contextmanager
    def lingering(self, user: str) -> Iterator[None]:
        """A user whose own services run without a login, until the end."""
        number = self.run("id", "--user", user).strip()
        self.run("loginctl", "enable-linger", user)
        self.systemctl("start", f"user@{number}.service")
        try:
            yield
        finally:
            self.run("loginctl", "disable-linger", user)
            self.systemctl("stop", f"user@{number}.service")

    def configure(self, text: str) -> None:
        """Write the configuration; nothing is told."""
        self.container.path(CONFIGURATION).write_text(text)

    def restore(self) -> None:
        """The service as it is after the installation, and running."""
        self.systemctl("stop", SERVICE, SOCKET, check=False)
        self.configure("server: {shutdown_grace_secs: 2}\n")
        self.container.path(KEYS).unlink(missing_ok=True)
        self.systemctl("reset-failed")
        self.systemctl("start", SERVICE)

    def startup(self) -> float:
        """Seconds from the start of the daemon's program until it said that it is ready."""
        moments = ("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
        began, ready = (int(self.property(name)) for name in moments)
        return (ready - began) / 1_000_000


def events_of(stream: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """What still comes until the stream ends, each event as an object."""
    *lines, status = stream.communicate(timeout=_LONGEST)[0].splitlines()
    assert status == "200", lines
    return [json.loads(line) for line in lines if line]
