"""Runs the programs of the tests of packages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EPOCH = 1_700_000_000
"""What files of packages are dated in the tests."""


def run(*command: str | Path, folder: Path = ROOT, **variables: str) -> str:
    """What a command prints; it must succeed, and the variables are added to the environment."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def package(
    what: str, destination: Path, *options: str, root: Path = ROOT, **variables: str
) -> Path:
    """Make a package from a checkout or an unpacked sdist; where it is."""
    command = [sys.executable, "-P", "-m", "packager", what, "--destination", str(destination)]
    printed = run(
        *command,
        *options,
        folder=root,
        PYTHONPATH=str(root / "packaging"),
        SOURCE_DATE_EPOCH=str(EPOCH),
        **variables,
    )
    return Path(printed.strip())
