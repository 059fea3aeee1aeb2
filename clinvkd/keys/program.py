"""Runs a program that answers at once or not at all: silent standard input, a limit, no rest."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_NOT_PASSED = ("CLINVK_", "NOTIFY_", "WATCHDOG_", "LISTEN_", "CREDENTIALS_")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended, and what it said; `output` may be secret."""

    status: int
    output: bytes
    complaint: bytes


def run(command: Sequence[str], environ: Mapping[str, str], seconds: float) -> Ended:
    """Run a program to its end. Blocking.

    Args:
        environ: without the daemon's own variables, which it never gets.
        seconds: after which it and all of its process group are killed.

    Raises:
        TimeoutError: it was killed.
        OSError: it could not be started.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env={name: value for name, value in environ.items() if not name.startswith(_NOT_PASSED)},
        start_new_session=True,  # no terminal to ask a person at
    )
    with process:
        try:
            output, complaint = process.communicate(timeout=seconds)
        except BaseException as error:
            # All it started, too: nothing of it may wait for a passphrase.
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise TimeoutError from None
            raise
    return Ended(process.returncode, output, complaint)
