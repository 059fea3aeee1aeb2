"""The packages that other tools build, as far as this machine has these tools."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from pathlib import Path

import pytest

from clinvkd import __version__

from .commands import ROOT, package, run

RECIPES = ROOT / "packaging"
DOCKERFILE = RECIPES / "docker" / "Dockerfile"


def requires(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        shutil.which(program) is None, reason=f"NOT TESTED: {program} is not installed"
    )


@pytest.fixture(scope="module")
def pkgbuild(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package("pkgbuild", tmp_path_factory.mktemp("pkgbuild"))


@pytest.fixture(scope="module")
def formula(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package("formula", tmp_path_factory.mktemp("formula"))


def shell_values(pkgbuild: Path, *names: str) -> dict[str, str]:
    """What bash makes of the variables of a PKGBUILD."""
    shown = "; ".join(f'echo "{name}=${{{name}[*]}}"' for name in names)
    lines = run("bash", "-euc", f"source {pkgbuild}; {shown}").splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_a_pkgbuild_has_its_source_beside_it(pkgbuild: Path) -> None:
    values = shell_values(pkgbuild, "pkgver", "source", "sha256sums", "backup", "install")
    assert values["pkgver"] == __version__
    source = pkgbuild.parent / values["source"]
    assert hashlib.sha256(source.read_bytes()).hexdigest() == values["sha256sums"]
    assert values["backup"].split() == ["etc/clinvk/config.yaml", "etc/default/clinvk"]
    hooks = run("bash", "-euc", f"source {pkgbuild.parent / values['install']}; declare -F")
    assert re.findall(r"-f (\w+)", hooks) == ["post_upgrade", "pre_remove"]


@pytest.mark.timeout(900)
@requires("strip")
def test_the_package_function_of_a_pkgbuild_writes_the_files(
    pkgbuild: Path, tmp_path: Path
) -> None:
    """As makepkg calls it, with this Python as that of the distribution."""
    values = shell_values(pkgbuild, "source")
    run("tar", "xf", pkgbuild.parent / values["source"], folder=tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "bin/python").chmod(0o755)
    script = f"source {pkgbuild}; PATH={tmp_path}/bin:$PATH; pkgdir={tmp_path}/root; package"
    run("bash", "-euo", "pipefail", "-c", script, folder=tmp_path)
    root = tmp_path / "root"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    private = root / "usr/lib/clinvk"
    assert [path.name for path in (private / "lib").iterdir()] == [f"python{python}"]
    assert (private / "bin/python3").is_symlink()
    assert (root / "usr/bin/clinvk").stat().st_mode & 0o111 == 0o111
    assert (root / "usr/share/zsh/site-functions/_clinvk").is_file()
    assert (root / "usr/share/licenses/clinvk/LICENSE").is_file()
    assert list((private / "site-packages/clinvkd").rglob("cli.cpython-*.pyc"))


def test_the_formula_has_every_source_archive_of_the_lock_file(formula: Path) -> None:
    text = formula.read_text()
    assert "@" not in text.replace("python@3.13", "")
    lock = (RECIPES / "requirements.lock").read_text()
    resources = re.findall(r'  resource "([\w.-]+)" do\n    url "(.*)"\n    sha256 "(\w+)"', text)
    locked = re.findall(r"(?m)^([\w.-]+)==([\w.]+)( ;)?", lock)
    assert {name for name, _, marker in locked if not marker} <= {name for name, _, _ in resources}
    versions = {name: version for name, version, _ in locked}
    for name, url, digest in resources:
        assert url.startswith("https://"), name
        assert url.endswith(f"-{versions[name]}.tar.gz"), name
        assert digest in lock, name
    (own,) = re.findall(r'(?m)^  url "file://(.*)"', text)
    (digest,) = re.findall(r'(?m)^  sha256 "(\w+)"', text)
    assert hashlib.sha256(Path(own).read_bytes()).hexdigest() == digest


def test_what_the_formula_installs_is_in_the_sdist(formula: Path, unpacked: Path) -> None:
    share = re.findall(r'install share/"(.*)"', formula.read_text())
    assert len(share) == 4
    assert all((unpacked / "packaging/share" / path).is_file() for path in share)


@requires("ruby")
def test_the_formula_is_ruby(formula: Path) -> None:
    assert run("ruby", "-wc", formula) == "Syntax OK\n"


@pytest.fixture(scope="module")
def rpm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package("rpm", tmp_path_factory.mktemp("rpm"))


@pytest.mark.timeout(900)
@requires("rpmbuild")
def test_the_rpm_has_the_files_of_the_package(rpm: Path) -> None:
    assert rpm.name.startswith(f"clinvk-{__version__}-1.")
    files = set(run("rpm", "--query", "--list", "--package", rpm).splitlines())
    assert files >= {
        "/etc/clinvk/config.yaml",
        "/usr/bin/clinvk",
        "/usr/lib/clinvk/bin/python3",
        "/usr/lib/clinvk/lib/python3.13/site-packages/clinvk.pth",
        "/usr/lib/clinvk/site-packages/clinvkd/cli.py",
        "/usr/lib/systemd/system/clinvk.service",
        "/usr/share/man/man1/clinvk.1",
        "/usr/share/zsh/site-functions/_clinvk",
    }
    kept = run("rpm", "--query", "--configfiles", "--package", rpm).split()
    assert kept == ["/etc/clinvk/config.yaml", "/etc/default/clinvk"]
    needed = run("rpm", "--query", "--requires", "--package", rpm)
    assert "python3 >= 3.11\n" in needed
    assert "python3 < 3.15\n" in needed
    scripts = run("rpm", "--query", "--scripts", "--triggers", "--package", rpm)
    assert "%{" not in scripts


def test_the_image_is_described_in_stages_and_not_for_root() -> None:
    steps = re.findall(r"(?m)^([A-Z]+) +(.*)$", DOCKERFILE.read_text().replace("\\\n", " "))
    named = [name for name, _ in steps]
    assert named.count("FROM") == 2
    values = dict(steps)
    assert values["AGENTS" if "AGENTS" in values else "ARG"] == 'AGENTS=""'
    assert values["USER"] == "10001:10001"
    assert "/health" in values["HEALTHCHECK"]
    assert named.index("ARG") > 0
    # Everything that is copied is let through, and exists.
    ignore = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text()
    for name in re.findall(r"(?m)^!(.*)$", ignore):
        assert (ROOT / name).exists(), name


@requires("bash")
def test_the_agents_of_the_image_are_installed_by_name(tmp_path: Path) -> None:
    """The shell lines of the image, with programs that only say how they were called."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    (lines,) = re.findall(r"(?m)^RUN (groupadd .*)$", text)
    for name in ("groupadd", "useradd", "apt-get", "npm", "rm"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    path = f"PATH={tmp_path}:$PATH"
    script = ("bash", "-euo", "pipefail", "-c", f"{path}; {lines}")
    assert "npm" not in run(*script, AGENTS="")
    called = run(*script, AGENTS="claude gemini")
    assert re.findall(r"(?m)^npm install .* (\S+)$", called) == [
        "@anthropic-ai/claude-code", "@google/gemini-cli",
    ]  # fmt: skip
    with pytest.raises(AssertionError, match="AGENTS knows claude, codex and gemini"):
        run(*script, AGENTS="copilot")


@requires("hadolint")
def test_hadolint_finds_nothing() -> None:
    run("hadolint", DOCKERFILE)
