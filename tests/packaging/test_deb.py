"""The Debian package: what is in it, that it runs with every Python it is for, and its bytes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest
from aiohttp import ClientSession

from clinvkd import __version__

from .commands import EPOCH, ROOT, package, run

needs_dpkg = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None or os.uname().machine not in ("x86_64", "aarch64"),
    reason="NOT TESTED: there is no dpkg-deb, or no package for this machine",
)
pytestmark = [needs_dpkg, pytest.mark.timeout(1800)]  # the wheels may have to be downloaded

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PATIENCE = 90.0
"""Seconds; nothing is compiled before the first start."""


@pytest.fixture(scope="module")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package("deb", tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="module")
def members(deb: Path) -> dict[str, tarfile.TarInfo]:
    """What it installs, by path."""
    archive = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", deb], capture_output=True, check=True, timeout=120
    )
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as opened:
        return {"/" + member.name.removeprefix("./"): member for member in opened}


@pytest.fixture(scope="module")
def control(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its control files."""
    folder = tmp_path_factory.mktemp("control")
    run("dpkg-deb", "--control", deb, folder)
    return folder


@pytest.fixture(scope="module")
def tree(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It unpacked, standing for `/`."""
    folder = tmp_path_factory.mktemp("tree")
    run("dpkg-deb", "--extract", deb, folder)
    return folder


def test_a_build_elsewhere_by_another_user_is_bit_identical(
    deb: Path, unpacked: Path, tmp_path: Path
) -> None:
    """From the sdist, with another umask, time zone and language."""
    command = f"umask 077 && exec {sys.executable} -P -m packager deb --destination {tmp_path}"
    run(
        *("sh", "-c", command),
        folder=unpacked,
        PYTHONPATH=str(unpacked / "packaging"),
        SOURCE_DATE_EPOCH=str(EPOCH),
        TZ="Pacific/Auckland",
        LC_ALL="C",
    )
    assert (tmp_path / deb.name).read_bytes() == deb.read_bytes()


def test_it_is_small(deb: Path) -> None:
    assert deb.stat().st_size < 15_000_000


def test_its_name_says_what_it_is(deb: Path, control: Path) -> None:
    fields = dict(re.findall(r"(?m)^(\w[\w-]*): (.*)$", (control / "control").read_text()))
    assert deb.name == f"clinvk_{__version__}_{fields['Architecture']}.deb"
    assert fields["Package"] == "clinvk"
    assert fields["Version"] == __version__
    assert "python3 (>= 3.11~), python3 (<< 3.15~), libc6 (>= 2." in fields["Depends"]
    assert 30_000 < int(fields["Installed-Size"]) < 120_000


def test_it_installs_what_it_should(members: dict[str, tarfile.TarInfo]) -> None:
    assert set(members) >= {
        "/etc/clinvk/config.yaml",
        "/etc/default/clinvk",
        "/usr/bin/clinvk",
        "/usr/lib/clinvk/bin/python3",
        "/usr/lib/clinvk/site-packages/clinvkd/cli.py",
        "/usr/lib/systemd/system/clinvk.service",
        "/usr/lib/systemd/system/clinvk.socket",
        "/usr/lib/systemd/system/clinvk@.service",
        "/usr/lib/systemd/user/clinvk.service",
        "/usr/lib/systemd/user/clinvk.socket",
        "/usr/lib/sysusers.d/clinvk.conf",
        "/usr/lib/tmpfiles.d/clinvk.conf",
        "/usr/share/bash-completion/completions/clinvk",
        "/usr/share/doc/clinvk/changelog.gz",
        "/usr/share/doc/clinvk/copyright",
        "/usr/share/fish/vendor_completions.d/clinvk.fish",
        "/usr/share/man/man1/clinvk.1.gz",
        "/usr/share/zsh/vendor-completions/_clinvk",
    }
    assert not [path for path in members if path.endswith((".pyc", "direct_url.json", "/RECORD"))]


def test_it_belongs_to_root_who_alone_can_change_it(members: dict[str, tarfile.TarInfo]) -> None:
    for path, member in members.items():
        assert (member.uid, member.gid, member.mtime) == (0, 0, EPOCH), path
        assert member.issym() or not member.mode & 0o7022, path
        assert member.issym() or member.mode & 0o444 == 0o444, path
    assert members["/usr/bin/clinvk"].mode & 0o111 == 0o111


def test_only_configuration_is_kept_on_an_upgrade(
    control: Path, members: dict[str, tarfile.TarInfo]
) -> None:
    conffiles = (control / "conffiles").read_text().split()
    etc = {p for p, m in members.items() if p.startswith("/etc/") and m.isfile()}
    assert set(conffiles) == etc


def test_its_checksums_hold(control: Path, tree: Path) -> None:
    run("md5sum", "--quiet", "--check", control / "md5sums", folder=tree)
    listed = set(re.findall(r"  (.*)", (control / "md5sums").read_text()))
    files = {
        str(path.relative_to(tree))
        for path in tree.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    assert files - listed == {"etc/clinvk/config.yaml", "etc/default/clinvk"}


def test_every_distribution_in_it_is_named_with_its_licence(tree: Path) -> None:
    text = (tree / "usr/share/doc/clinvk/copyright").read_text()
    for folder in (tree / "usr/lib/clinvk/site-packages").glob("*.dist-info"):
        name, version = folder.name.removesuffix(".dist-info").split("-", 1)
        line = re.search(
            rf"^ {name.replace('_', '[-_.]')} {version}: \S", text, re.MULTILINE | re.IGNORECASE
        )
        assert name == "clinvkd" or line, folder.name


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_maintainer_scripts_are_sound(control: Path) -> None:
    run("shellcheck", *sorted(control.glob("p*")))


@pytest.mark.skipif(shutil.which("lintian") is None, reason="lintian is not installed")
def test_lintian_finds_nothing(deb: Path) -> None:
    # The newest entry of the changelog has the date of the build, whatever lintian's clock says.
    printed = run("lintian", "--allow-root", "--fail-on=error,warning", deb)
    assert not [line for line in printed.splitlines() if line.startswith(("E:", "W:"))]


def interpreter(python: str) -> Path | None:
    """A Python of a version that this machine has, the distribution's own before others."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    own = Path(f"/usr/bin/python{python}")
    found = [own, *pyenv.glob(f"versions/{python}.*/bin/python{python}")]
    return next((path for path in found if path.exists()), None)


@contextlib.asynccontextmanager
async def served(tree: Path, home: Path) -> AsyncIterator[str]:
    """`clinvk serve` of the unpacked package; its address."""
    environ = {"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    process = await asyncio.create_subprocess_exec(
        *(tree / "usr/lib/clinvk/bin/python3", "-I", tree / "usr/bin/clinvk"),
        *("serve", "--port", "0", "--backend", "echo"),
        cwd=home,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = (await process.stdout.readline()).decode()
        yield line.split()[-1]
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


@pytest.mark.parametrize("python", PYTHONS)
async def test_it_answers_with_every_python(python: str, tree: Path, tmp_path: Path) -> None:
    """The agent is started as `sys.executable -m`, with nothing but what it finds by itself."""
    if (found := interpreter(python)) is None:
        pytest.skip(f"NOT TESTED with Python {python}, which this machine does not have")
    link = tree / "usr/bin/python3"
    link.unlink(missing_ok=True)
    link.symlink_to(found)
    configuration = tree / "usr/lib/clinvk/pyvenv.cfg"
    configuration.write_text(
        re.sub("(?m)^home = .*", f"home = {found.parent}", configuration.read_text())
    )
    async with served(tree, tmp_path) as address, ClientSession() as client:
        body = {"prompt": f"Python {python}"}
        async with client.post(f"{address}/api/v1/prompt", json=body) as response:
            answer = await response.json()
    assert answer["output"] == f"Python {python}"
    assert list(
        (tree / "usr/lib/clinvk/site-packages/clinvkd").rglob(
            f"*.cpython-{python.replace('.', '')}.pyc"
        )
    )


def test_an_administrator_can_add_packages(tree: Path) -> None:
    """As the engine of the local model, which is too large to be brought."""
    for python in PYTHONS:
        folder = tree / f"usr/lib/clinvk/lib/python{python}/site-packages"
        lines = (folder / "clinvk.pth").read_text().splitlines()
        assert (folder / lines[0]).resolve() == tree / "usr/lib/clinvk/site-packages"
        assert lines[1] == f"/usr/local/lib/clinvk/python{python}"


def test_the_other_architecture_needs_its_binutils(tmp_path: Path) -> None:
    other, strip = {
        "x86_64": ("arm64", "aarch64-linux-gnu-strip"),
        "aarch64": ("amd64", "x86_64-linux-gnu-strip"),
    }[os.uname().machine]
    (tmp_path / "dpkg-deb").touch(0o755)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "packager", "deb", "--architecture", other,
         "--destination", tmp_path],
        cwd=ROOT, env={"PYTHONPATH": str(ROOT / "packaging"), "PATH": str(tmp_path)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"no deb: {strip} is missing (dpkg, binutils)\n"
