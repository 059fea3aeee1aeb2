"""The installer against an npm of our own, which writes files instead of fetching them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .. import install_agents
from ..install_agents import PIN_FILE, pins

Environment = dict[str, str]

NPM = """\
#!{python}
import json, os, pathlib, sys
arguments = sys.argv[1:]
prefix = pathlib.Path(arguments[arguments.index("--prefix") + 1])
with open(os.environ["NPM_LOG"], "a") as log:
    log.write(prefix.name + "\\n")
if prefix.name == os.environ.get("NPM_FAILS_FOR"):
    (prefix / "node_modules").mkdir()
    sys.exit(7)
for name in json.loads(os.environ["NPM_FILES"])[prefix.name]:
    path = prefix / "node_modules" / name
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\\necho " + prefix.name + "\\n")
"""


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(NPM.format(python=sys.executable))
    npm.chmod(0o755)
    files = {name: list(pin.executables.values()) for name, pin in pins().items()}
    return {
        "PATH": f"{npm.parent}:/usr/bin:/bin",
        "CLINVK_TEST_CACHE": str(tmp_path / "cache"),
        "NPM_LOG": str(tmp_path / "npm.log"),
        "NPM_FILES": json.dumps(files),
    }


def start(environment: Environment) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, install_agents.__file__],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(environment: Environment) -> tuple[int, str, str]:
    with start(environment) as process:
        output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def npm_runs(environment: Environment) -> list[str]:
    return Path(environment["NPM_LOG"]).read_text().split()


def executable(environment: Environment, agent: str, name: str) -> Path:
    [cache] = [path for path in Path(environment["CLINVK_TEST_CACHE"]).iterdir() if path.is_dir()]
    return cache / agent / "bin" / name


def test_every_agent_is_installed_once(environment: Environment) -> None:
    code, output, _ = run(environment)
    assert code == 0
    assert npm_runs(environment) == list(pins())
    command = executable(environment, "claude-old", "claude")
    assert subprocess.check_output([command], text=True) == "claude-old\n"
    assert "codex 0.169.0 is being installed" in output

    code, output, _ = run(environment)
    assert code == 0
    assert npm_runs(environment) == list(pins())
    assert "codex 0.169.0 is installed" in output


def test_two_installers_take_turns(environment: Environment) -> None:
    with start(environment) as first, start(environment) as second:
        for process in (first, second):
            process.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0)
    assert npm_runs(environment) == list(pins())


def test_a_failed_installation_leaves_nothing_and_can_be_repeated(
    environment: Environment,
) -> None:
    code, _, errors = run({**environment, "NPM_FAILS_FOR": "gemini"})
    assert code == 1
    assert "gemini 0.61.0 failed" in errors
    assert "not installed: gemini" in errors
    folder = executable(environment, "gemini", "gemini").parents[1]
    assert not folder.exists()
    assert sorted(path.name for path in folder.parent.iterdir()) == [
        *(".lock", "claude", "claude-old", "codex", "opencode", "qwen")
    ]
    assert run(environment)[0] == 0
    assert (folder / "bin" / "node").exists()


def test_without_npm_the_installer_says_so(environment: Environment, tmp_path: Path) -> None:
    code, _, errors = run({**environment, "PATH": str(tmp_path)})
    assert code == install_agents.EXIT_UNSUPPORTED
    assert "npm is not on PATH" in errors


@pytest.mark.parametrize("system", ["linux", "darwin"])
@pytest.mark.parametrize("machine", ["x86_64", "arm64"])
def test_versions_are_exact_and_no_place_is_left_open(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    for pin in pins().values():
        assert all(re.search(r"@\d+\.\d+\.\d+(-\w+-\w+)?$", package) for package in pin.packages)
        assert any(pin.version in package for package in pin.packages)
        assert "{" not in "".join((*pin.packages, *pin.executables.values()))


def test_an_unknown_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "s390x")
    with pytest.raises(install_agents.AgentsUnsupported, match="s390x"):
        pins()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"CLINVK_TEST_CACHE": "/c"}, "/c"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/clinvk-tests"),
        ({}, "/h/.cache/clinvk-tests"),
    ],
)
def test_the_cache_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, variables: Environment, expected: str
) -> None:
    monkeypatch.setattr(os, "environ", {"HOME": "/h", **variables})
    assert install_agents.cache_directory().parent == Path(expected)


def test_a_changed_pin_file_has_a_cache_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = install_agents.cache_directory()
    changed = tmp_path / "agents.toml"
    changed.write_bytes(PIN_FILE.read_bytes() + b"\n")
    monkeypatch.setattr(install_agents, "PIN_FILE", changed)
    assert install_agents.cache_directory() != before
