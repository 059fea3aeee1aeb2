"""What other processes of the same user can see of the daemon."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, os, subprocess, sys
from clinvkd.keys.concealment import conceal
libc = ctypes.CDLL(None)
before = libc.prctl(3, 0, 0, 0, 0)
if os.geteuid() == 0:
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    libc.prctl(4, 1, 0, 0, 0)
def seen():
    # Not as our own child: a parent has no more rights over its child than any other process.
    return subprocess.run(["/bin/cat", f"/proc/{os.getpid()}/environ"],
                          capture_output=True, check=False).stdout
open_ = b"MARKER=shown" in seen()
told = conceal()
print(before, open_, told, libc.prctl(3, 0, 0, 0, 0), b"MARKER" in seen())
print(subprocess.run(["/bin/cat", "/proc/self/environ"], capture_output=True).stdout[:6])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")
def test_processes_of_the_same_user_cannot_read_the_environment() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "MARKER": "shown"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    first, second = done.stdout.splitlines()
    assert first == "1 True True 0 False"
    assert second != "b''", "programs that are started are not affected"
