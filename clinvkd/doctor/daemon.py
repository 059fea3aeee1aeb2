"""The daemon itself: whether it answers, who else has its port, and its service manager's view."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from ..service.installation import Installation, own_program
from ..service.launchd import Launchd
from ..service.launchd_socket import LABEL
from ..service.systemd import Systemd
from .finding import Finding, Patient

_PATIENCE = 5.0  # seconds for an answer


def check_address(patient: Patient) -> Iterator[Finding]:
    """Who answers where the daemon should listen."""
    server = patient.settings.server
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)  # noqa: S104
    where = f"{host}:{server.port}"
    if server.port == 0:
        yield Finding("port", "warn", "server.port is 0: no client can know it", "set server.port")
        return
    try:
        socket.create_connection((host, server.port), _PATIENCE).close()
    except ConnectionRefusedError:
        remedy = "clinvk service install, or clinvk serve"
        yield Finding("port", "warn", f"nobody listens on {where}", remedy)
        return
    except OSError as error:
        yield Finding("port", "fail", f"{where}: {error}", "correct server.host")
        return
    health = _health(host, server.port)
    if health is None:
        remedy = f"stop it, or set server.port; who it is: ss -ltnp 'sport = :{server.port}'"
        yield Finding("port", "fail", f"another program listens on {where}", remedy)
        return
    status = str(health["status"])
    detail = f"clinvk answers on {where}: {status}"
    if status == "ok":
        yield Finding("port", "ok", detail)
    else:
        yield Finding("port", "warn", detail, f"curl http://{where}/health, and its log")


def check_unit(patient: Patient) -> Iterator[Finding]:
    """The service, if it is installed: its state, and whether its files are those of now."""
    home = Path(patient.environ.get("HOME") or Path.home())
    installation = Installation(
        program=own_program(sys.argv[0]), home=home, user=os.getuid(),
        settings=patient.settings, environ=patient.environ,
    )  # fmt: skip
    if sys.platform == "darwin":
        yield from _agent(Launchd(installation))
    elif shutil.which("systemctl", path=patient.environ.get("PATH")) is None:
        yield Finding("service", "ok", "there is no systemd here")
    else:
        yield from _units(patient, Systemd(installation))


def _units(patient: Patient, systemd: Systemd) -> Iterator[Finding]:
    found = False
    for scope in ("system", "user"):
        state = _show(scope, patient.environ)
        if state.get("LoadState") != "loaded":
            continue
        found = True
        check, active = f"service.{scope}", state.get("ActiveState", "")
        detail = f"{state.get('FragmentPath')}: {active} ({state.get('SubState')})"
        option = " --system" if scope == "system" else ""
        if active == "failed":
            remedy = f"clinvk service logs{option}; clinvk service start{option}"
            yield Finding(check, "fail", f"{detail}, {state.get('Result')}", remedy)
        elif active != "active":
            yield Finding(check, "warn", detail, f"clinvk service start{option}")
        else:
            yield Finding(check, "ok", detail)
    if not found:
        yield Finding("service", "ok", "no unit is installed; `clinvk service install` makes one")
        return
    stale = [
        file.path
        for file in systemd.files()
        if file.path.exists() and file.path.read_text("utf-8") != file.text
    ]
    if stale:
        yield Finding(
            "service.files", "warn",
            f"{', '.join(map(str, stale))}: not what would be installed from this shell",
            "clinvk service install",
        )  # fmt: skip
    if _show("user", patient.environ).get("LoadState") == "loaded":
        yield from _linger()


def _linger() -> Iterator[Finding]:
    if Path("/var/lib/systemd/linger", getpass.getuser()).exists():
        yield Finding("service.linger", "ok", "it runs while you are not logged in, too")
    else:
        detail = "it ends when you log out"
        yield Finding("service.linger", "warn", detail, "loginctl enable-linger, to keep it")


def _agent(launchd: Launchd) -> Iterator[Finding]:
    (file,) = launchd.files()
    if not file.path.exists():
        yield Finding("service", "ok", "no agent is installed; `clinvk service install` makes one")
        return
    (print_it,) = launchd.status()
    loaded = subprocess.run(print_it.argv, capture_output=True, check=False).returncode == 0
    if loaded:
        yield Finding("service", "ok", f"{LABEL} is loaded")
    else:
        yield Finding("service", "warn", f"{LABEL} is not loaded", "clinvk service start")
    if file.path.read_text("utf-8") != file.text:
        detail = f"{file.path}: not what would be installed from this shell"
        yield Finding("service.files", "warn", detail, "clinvk service install")


def _show(scope: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What systemd knows of the unit; nothing where it does not run."""
    properties = "LoadState,ActiveState,SubState,Result,FragmentPath"
    argv = ["systemctl", f"--{scope}", "show", f"--property={properties}", "clinvk.service"]
    try:
        done = subprocess.run(
            argv, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=_PATIENCE, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def _health(host: str, port: int) -> dict[str, Any] | None:
    """What `/health` says; None if it is not ours."""
    with closing(HTTPConnection(host, port, timeout=_PATIENCE)) as connection:
        try:
            connection.request("GET", "/health")
            answer = json.loads(connection.getresponse().read(1 << 20))
        except (OSError, HTTPException, ValueError):
            return None
    return answer if isinstance(answer, dict) and "status" in answer else None
