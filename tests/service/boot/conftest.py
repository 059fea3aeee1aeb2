"""The machines that the tests share: one of each Debian, booted once, with the package in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from .agents import visible_agents
from .booting import booted
from .machine import Machine
from .tree import SUITES, CannotBoot, check, tree

_ROOT = Path(__file__).parents[3]
_SOURCES = ("clinvkd", "packaging", "systemd")


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Debian package of this checkout, in a folder that containers see as `/mnt`.

    `CLINVK_TEST_PACKAGE` names another one, made elsewhere.
    """
    try:
        check()
    except CannotBoot as reason:
        pytest.skip(f"NOT TESTED under a real systemd: {reason}")
    folder = tmp_path_factory.mktemp("package")
    given = os.environ.get("CLINVK_TEST_PACKAGE")
    if made := Path(given) if given else _up_to_date():
        return Path(shutil.copy(made, folder))
    subprocess.run(
        [sys.executable, "-m", "packager", "deb", "--destination", str(folder)],
        cwd=_ROOT / "packaging", check=True, timeout=850,
    )  # fmt: skip
    (found,) = folder.glob("clinvk_*.deb")
    return found


def _up_to_date() -> Path | None:
    """The package that `make package` has made, unless something in it has changed since."""
    made = max(_ROOT.glob("dist/clinvk_*.deb"), key=_changed, default=None)
    sources = (path for name in _SOURCES for path in (_ROOT / name).rglob("*") if path.is_file())
    if made is None or any(
        _changed(path) > _changed(made) for path in sources if path.suffix not in (".pyc", ".md")
    ):
        return None
    return made


def _changed(path: Path) -> float:
    return path.stat().st_mtime


@pytest.fixture(scope="session", params=SUITES, ids=lambda release: f"debian{release}")
def release(request: pytest.FixtureRequest) -> int:
    """Debian's number."""
    number: int = request.param
    return number


@pytest.fixture(scope="session")
def machine(release: int, package: Path) -> Iterator[Machine]:
    """A machine with the package in it, which most tests of a release share."""
    with _booted(release, package) as found:
        _install(found, package)
        yield found


@pytest.fixture(scope="session")
def unshared(release: int, package: Path) -> Iterator[Machine]:
    """As `machine`, but made by unshare: its `/proc` is as on a real machine.

    systemd-nspawn covers parts of it, and where it cannot change its root it leaves another one in
    reach; so there nothing is told about sandboxes, which want to mount their own.
    """
    with _booted(release, package, "unshare") as found:
        _install(found, package)
        yield found


def _install(machine: Machine, package: Path) -> None:
    machine.run("apt-get", "install", "--yes", f"/mnt/{package.name}")
    for user in ("ada", "bob"):
        machine.run("useradd", "--create-home", "--shell=/bin/bash", user)


@pytest.fixture
def bare(release: int, package: Path) -> Iterator[Machine]:
    """A machine of its own for one test, with nothing in it yet."""
    with _booted(release, package) as found:
        yield found


@pytest.fixture
def service(machine: Machine) -> Machine:
    """The shared machine, with the service as it is after the installation, and running."""
    machine.restore()
    return machine


@contextmanager
def _booted(release: int, package: Path, way: str = "") -> Iterator[Machine]:
    try:
        stack = ExitStack()
        mounts = {"/mnt": package.parent, **visible_agents()}
        container = stack.enter_context(booted(tree(release), mounts=mounts, way=way))
    except CannotBoot as reason:
        pytest.skip(f"NOT TESTED under systemd of Debian {release}: {reason}")
    with stack:
        yield Machine(container, release)
