"""The wheel and the source archive: what is in them, and what is not."""

from __future__ import annotations

import re
import tarfile
import zipfile
from pathlib import Path

from .commands import ROOT, package, run


def test_the_wheel_brings_units_manual_page_and_completions(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert names >= {
        "clinvkd/py.typed",
        "clinvkd/service/units/system/clinvk.service",
        "clinvkd/service/units/user/clinvk.service",
    }
    shared = {name.partition(".data/data/")[2] for name in names if ".data/data/" in name}
    assert shared == {
        "share/bash-completion/completions/clinvk",
        "share/fish/vendor_completions.d/clinvk.fish",
        "share/man/man1/clinvk.1",
        "share/zsh/site-functions/_clinvk",
    }
    tops = {name.split("/")[0] for name in names}
    assert {re.sub(r"-[\d.]+\.", ".", top) for top in tops} == {
        "clinvkd", "clinvkd.data", "clinvkd.dist-info",
    }  # fmt: skip


def test_everything_that_is_no_module_is_in_the_wheel(wheel: Path) -> None:
    """Templates, migrations, pages: what a list of modules would forget."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "clinvkd").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sources <= names


def test_the_sdist_holds_what_building_and_testing_need(unpacked: Path) -> None:
    names = {path.name for path in unpacked.iterdir()}
    assert names >= {
        "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "PKG-INFO", "README.md",
        "benchmarks", "clinvkd", "constraints.txt", "docs", "launchd", "packaging",
        "pyproject.toml", "systemd", "tests",
    }  # fmt: skip
    assert not [path for path in unpacked.rglob("*") if path.name in ("__pycache__", ".venv")]
    assert (unpacked / "packaging/requirements.lock").is_file()


def test_the_sdist_builds_the_same_wheel(unpacked: Path, wheel: Path, tmp_path: Path) -> None:
    again = package("wheel", tmp_path, root=unpacked)
    assert again.read_bytes() == wheel.read_bytes()


def test_an_sdist_of_the_sdist_is_bit_identical(
    sdist: Path, unpacked: Path, tmp_path: Path
) -> None:
    assert package("sdist", tmp_path, root=unpacked).read_bytes() == sdist.read_bytes()
    with tarfile.open(sdist) as archive:
        assert {(member.uid, member.gid) for member in archive} == {(0, 0)}


def test_the_lock_file_is_what_the_tests_run_with() -> None:
    """Made by `packaging/README.md`; every version is that of constraints.txt."""
    pins = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text()))
    known = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins.items()}
    lock = (ROOT / "packaging/requirements.lock").read_text()
    locked = re.findall(r"^([\w.-]+)==(\S+)(?: ; (.*?))? \\$", lock, re.MULTILINE)
    assert len(locked) > 40
    for name, version, marker in locked:
        # Those with a marker are for other Pythons or systems than that of the tests.
        assert known.get(name, version if marker else None) == version, name
    names = {name for name, _, _ in locked}
    project = (ROOT / "pyproject.toml").read_text()
    (declared,) = re.findall(r"^dependencies = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    wanted = {name.lower() for name in re.findall(r'^ +"([\w-]+)', declared, re.MULTILINE)}
    assert wanted <= names, "run the command in packaging/README.md"


def test_the_version_is_known_without_importing_clinvk(sdist: Path) -> None:
    text = run("grep", "__version__ =", ROOT / "clinvkd/__init__.py")
    assert sdist.name == f"clinvkd-{text.split()[-1].strip(chr(34))}.tar.gz"
