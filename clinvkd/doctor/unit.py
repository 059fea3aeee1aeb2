"""The service, if it is installed: what its manager says of it, and whether its files are right."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import ConfigError
from ..service import system
from ..service.installation import Installation, Manager, own_program
from ..service.launchd import Launchd
from ..service.launchd_socket import LABEL
from ..service.systemd import Systemd
from .finding import Finding, Patient

_PATIENCE = 5.0  # seconds for an answer
_PROPERTIES = "LoadState,ActiveState,SubState,Result,FragmentPath,Environment"


def check_unit(patient: Patient) -> Iterator[Finding]:
    """The state of the service, and whether its files are those of now."""
    of_machine = patient.service is not None
    home = Path(patient.shell.get("HOME") or Path.home())
    installation = Installation(
        program=own_program(sys.argv[0]), home=system.HOME if of_machine else home,
        user=os.getuid(), settings=patient.settings, environ=patient.shell, system=of_machine,
    )  # fmt: skip
    if sys.platform == "darwin":
        yield from _agent(Launchd(installation))
    elif shutil.which("systemctl", path=patient.shell.get("PATH")) is None:
        yield Finding("service", "ok", "there is no systemd here")
    else:
        yield from _units(patient, Systemd(installation))


def show(scope: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What systemd knows of the unit; nothing where it does not run."""
    argv = ["systemctl", f"--{scope}", "show", f"--property={_PROPERTIES}", "clinvk.service"]
    try:
        done = subprocess.run(
            argv, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=_PATIENCE, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def _units(patient: Patient, systemd: Systemd) -> Iterator[Finding]:
    # The service of the machine may be what serves a user; a user's own never serves the machine.
    scopes = ("system", "user") if patient.service is None else ("system",)
    states = {scope: show(scope, patient.shell) for scope in scopes}
    loaded = {s: state for s, state in states.items() if state.get("LoadState") == "loaded"}
    for scope, state in loaded.items():
        yield _state(scope, state, examined=scope == scopes[-1])
    option = "" if patient.service is None else " --system"
    if not loaded:
        detail = f"no unit is installed; `clinvk service install{option}` makes one"
        yield Finding("service", "ok", detail)
        return
    yield from _files(systemd, f"clinvk service install{option}")
    if "user" in loaded:
        yield from _linger()


def _state(scope: str, state: Mapping[str, str], *, examined: bool) -> Finding:
    check, active = f"service.{scope}", state.get("ActiveState", "")
    detail = f"{state.get('FragmentPath')}: {active} ({state.get('SubState')})"
    option = " --system" if scope == "system" else ""
    if active == "failed":
        remedy = f"clinvk service logs{option}; clinvk service start{option}"
        if not examined:
            remedy = f"sudo clinvk doctor --system; {remedy}"
        return Finding(check, "fail", f"{detail}, {state.get('Result')}", remedy)
    if active != "active":
        return Finding(check, "warn", detail, f"clinvk service start{option}")
    return Finding(check, "ok", detail)


def _files(manager: Manager, remedy: str) -> Iterator[Finding]:
    """Whether another installation would change something."""
    try:
        wanted, unwanted = manager.files(), manager.unwanted()
    except ConfigError as error:
        yield Finding("service.files", "fail", str(error), f"correct it, then {remedy}")
        return
    stale = [
        file.path
        for file in wanted
        if not file.kept and file.path.exists() and file.path.read_text("utf-8") != file.text
    ]
    stale += [path for path in unwanted if path.exists()]
    if stale:
        yield Finding(
            "service.files", "warn",
            f"{', '.join(map(str, stale))}: not what would be installed from this shell", remedy,
        )  # fmt: skip


def _linger() -> Iterator[Finding]:
    if Path("/var/lib/systemd/linger", getpass.getuser()).exists():
        yield Finding("service.linger", "ok", "it runs while you are not logged in, too")
    else:
        detail = "it ends when you log out"
        yield Finding("service.linger", "warn", detail, "loginctl enable-linger, to keep it")


def _agent(launchd: Launchd) -> Iterator[Finding]:
    if not any(path.exists() for path in launchd.removable()):
        yield Finding("service", "ok", "no agent is installed; `clinvk service install` makes one")
        return
    (print_it,) = launchd.status()
    loaded = subprocess.run(print_it.argv, capture_output=True, check=False).returncode == 0
    if loaded:
        yield Finding("service", "ok", f"{LABEL} is loaded")
    else:
        yield Finding("service", "warn", f"{LABEL} is not loaded", "clinvk service start")
    yield from _files(launchd, "clinvk service install")
