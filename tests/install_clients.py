"""Install the client libraries that `tests/clients` pins, from PyPI and npm, into a cache.

    python -m tests.install_clients

They go where `tests.install_agents` puts the agents, below a folder of their own named after the
digest of what is pinned: one virtual environment per file in `tests/clients/requirements`, made
with the Python that runs this, and one folder of packages for JavaScript::

    <cache>/clients-<digest>/openai-3/bin/python
    <cache>/clients-<digest>/javascript/node_modules/...

What `tests/web` pins to look at pages with lies beside it, under a digest of its own::

    <cache>/pages-<digest>/javascript/node_modules/...

Every folder appears by one rename, so it is there completely or not at all; a lock file makes two
installers take turns.  A renamed environment works by its `bin/python` only: run a client's command
as `python -m NAME`.

Exit codes: 0 all are installed, 1 some are not because pip or npm failed, 3 this machine cannot
have those in JavaScript (the reason is on stderr) and has the others.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import install_agents
from .install_agents import EXIT_UNSUPPORTED, AgentsUnsupported, exclusive, npm_command

REQUIREMENTS = Path(__file__).with_name("clients") / "requirements"
PACKAGE_FILE = Path(__file__).with_name("clients") / "js" / "package.json"
PAGES_PACKAGE_FILE = Path(__file__).with_name("web") / "package.json"
JAVASCRIPT = "javascript"
"""Name of the folder with the packages for JavaScript."""
TIME_LIMIT = 900.0
"""Seconds one installation may take; the largest one is about 150 MB to download."""

# The requirements are complete, so there is nothing to resolve.
_PIP_INSTALL = ("install", "--quiet", "--no-deps", "--disable-pip-version-check", "--no-compile")
# No scripts: nothing here needs one.  No peers: those that are needed are pinned themselves.
_NPM_INSTALL = (
    *("install", "--no-package-lock", "--ignore-scripts", "--omit=optional", "--omit=peer"),
    *("--no-audit", "--no-fund", "--loglevel=error"),
)


def environments() -> dict[str, Path]:
    """The requirements file of every virtual environment, by the environment's name."""
    return {path.stem: path for path in sorted(REQUIREMENTS.glob("*.txt"))}


def cache_directory() -> Path:
    """Where the clients of the present pin files are, or would be, installed.

    Wheels are of one Python version, so its number counts as pinned.
    """
    digest = hashlib.sha256(repr(sys.version_info[:2]).encode())
    for path in (*environments().values(), PACKAGE_FILE):
        digest.update(path.read_bytes())
    return install_agents.cache_directory().parent / f"clients-{digest.hexdigest()[:16]}"


def pages_directory() -> Path:
    """Where what the pages are looked at with is, or would be, installed."""
    digest = hashlib.sha256(PAGES_PACKAGE_FILE.read_bytes()).hexdigest()
    return install_agents.cache_directory().parent / f"pages-{digest[:16]}"


def python_of(environment: str) -> Path:
    """The interpreter of a virtual environment, installed or not."""
    return cache_directory() / environment / "bin" / "python"


def node_modules() -> Path:
    """The packages for JavaScript, installed or not."""
    return cache_directory() / JAVASCRIPT / "node_modules"


def page_modules() -> Path:
    """The packages that look at pages, installed or not."""
    return pages_directory() / JAVASCRIPT / "node_modules"


def install_environment(requirements: Path, folder: Path) -> None:
    """Make a virtual environment; raises SubprocessError or OSError when that fails."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=TIME_LIMIT)
    python = str(folder / "bin" / "python")
    command = [python, "-m", "pip", *_PIP_INSTALL, "-r", str(requirements)]
    subprocess.run(command, check=True, timeout=TIME_LIMIT)


def install_packages(npm: str, package_file: Path, folder: Path) -> None:
    """Fill a folder of packages for JavaScript; raises SubprocessError or OSError likewise."""
    folder.mkdir()
    shutil.copy(package_file, folder)
    subprocess.run([npm, *_NPM_INSTALL], cwd=folder, check=True, timeout=TIME_LIMIT)


def main() -> int:
    """Install what is missing and say what was done; see the module for the exit codes."""
    cache = cache_directory()
    with exclusive(cache):
        done = [
            _ensure(name, cache, partial(install_environment, path))
            for name, path in environments().items()
        ]
        try:
            npm = npm_command()
        except AgentsUnsupported as reason:
            print(f"JavaScript clients are not installed: {reason}", file=sys.stderr)
            return EXIT_UNSUPPORTED if all(done) else 1
        done.append(_ensure(JAVASCRIPT, cache, partial(install_packages, npm, PACKAGE_FILE)))
    pages = pages_directory()
    with exclusive(pages):
        done.append(_ensure(JAVASCRIPT, pages, partial(install_packages, npm, PAGES_PACKAGE_FILE)))
    if not all(done):
        return 1
    print(f"the clients are in {cache}")
    return 0


def _ensure(name: str, cache: Path, install: Callable[[Path], None]) -> bool:
    """Install one folder unless it is there, saying so; False if that failed."""
    if (cache / name).is_dir():
        print(f"clients {name} are installed", flush=True)
        return True
    print(f"clients {name} are being installed", flush=True)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=cache) as scratch:
            install(Path(scratch, name))
            Path(scratch, name).rename(cache / name)
    except (subprocess.SubprocessError, OSError) as error:
        print(f"clients {name} failed: {error}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(main())
