"""clinvk's files: who may read and change them, whether the keys can be used, room on the disk."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import ConfigError
from ..keys import KeySources
from ..keys.file import CLIENT_KEY_FILE
from .finding import Finding, Patient, Verdict

_LITTLE, _TOO_LITTLE = 1 << 30, 100 << 20  # bytes
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_CHANGE = stat.S_IWGRP | stat.S_IWOTH


def check_files(patient: Patient) -> Iterator[Finding]:
    """Owners and modes: who changes the configuration decides what runs as this user."""
    home = patient.home
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    if patient.service is not None and not home.exists():
        yield Finding("home", "ok", f"systemd makes {home} at the first start")
    elif not os.access(nearest, os.W_OK | os.X_OK):
        remedy = f"chown it to this user, or set CLINVK_HOME: {nearest}"
        yield Finding("home", "fail", f"{home} cannot be written by this user", remedy)
    else:
        yield from _private("home", home, _CHANGE)
    for check, path, forbidden in (
        ("configuration.file", patient.path, _CHANGE),
        ("store", home / "clinvk.db", _OTHERS),
        ("client_key", home / CLIENT_KEY_FILE, _OTHERS),
    ):
        yield from _private(check, path, forbidden)


def check_keys(patient: Patient) -> Iterator[Finding]:
    """Whether every source of keys can be read, and whether keys are needed."""
    server = patient.settings.server
    passed = {} if patient.service is None else patient.service.keys
    if isinstance(passed, Finding):
        yield passed
        return
    try:
        found = {**passed, **KeySources(dict(patient.environ)).load(server)}
    except ConfigError as error:
        yield Finding("keys", "fail", str(error), "clinvk does not start with a broken source")
        return
    counts = {name: len(keys) for name, keys in found.items()}
    if not found:
        if server.host not in ("localhost", "::1") and not server.host.startswith("127."):
            detail = f"there are none, and server.host is {server.host}"
            remedy = "clinvk keys generate, or listen on 127.0.0.1"
            yield Finding("keys", "fail", detail, remedy)
            return
        yield Finding("keys", "ok", "there are none: only this user, and root, may ask")
    elif not any(counts.values()):
        detail = f"{', '.join(counts)}: no key is left, so nobody can come in"
        yield Finding("keys", "fail", detail, "clinvk keys generate")
    else:
        told = ", ".join(f"{count} from {name}" for name, count in counts.items())
        yield Finding("keys", "ok", told)


def check_disk(patient: Patient) -> Iterator[Finding]:
    """Room for sessions, and for agents' temporary files."""
    temporary = patient.environ.get("TMPDIR") or tempfile.gettempdir()
    for check, path in (("disk.home", patient.home), ("disk.temporary", Path(temporary))):
        nearest = next(folder for folder in (path, *path.parents) if folder.exists())
        free = shutil.disk_usage(nearest).free
        verdict: Verdict = "fail" if free < _TOO_LITTLE else "warn" if free < _LITTLE else "ok"
        remedy = "" if verdict == "ok" else "make room; session.retention_days bounds the sessions"
        yield Finding(check, verdict, f"{free >> 20} MiB free for {path}", remedy)


def _private(check: str, path: Path, forbidden: int) -> Iterator[Finding]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        yield Finding(check, "fail", f"{path}: {error.strerror}", "look at the folders above it")
        return
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid not in (0, os.geteuid()):
        detail = f"{path} belongs to another user ({status.st_uid})"
        yield Finding(check, "fail", detail, f"chown {os.geteuid()} {path}")
    elif mode & forbidden:
        kind = "read" if forbidden & stat.S_IROTH else "change"
        remedy = f"chmod {mode & ~forbidden:04o} {path}"
        yield Finding(check, "fail", f"others can {kind} {path} ({mode:04o})", remedy)
    else:
        yield Finding(check, "ok", f"{path} ({mode:04o})")
