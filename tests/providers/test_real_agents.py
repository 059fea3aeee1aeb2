from __future__ import annotations

from pathlib import Path

import pytest

from ..install_agents import cache_directory, pins
from ..real_agents import AGENTS, installed, prepare, require


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLINVK_TEST_CACHE", str(tmp_path))


@pytest.fixture
def all_installed(nothing_installed: None) -> None:
    for pin in pins().values():
        for name in pin.executables:
            path = cache_directory() / pin.name / "bin" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def test_every_pinned_agent_has_a_provider() -> None:
    assert AGENTS.keys() == pins().keys()


@pytest.mark.usefixtures("nothing_installed")
def test_an_agent_that_was_not_installed_fails_the_test_and_says_what_to_run() -> None:
    assert installed() == {}
    with pytest.raises(pytest.fail.Exception, match=r"run `python tests/install_agents\.py`"):
        require("codex")


@pytest.mark.usefixtures("nothing_installed")
def test_without_npm_the_test_is_skipped_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.skip.Exception, match="real codex: npm is not on PATH"):
        require("codex")


@pytest.mark.usefixtures("all_installed")
@pytest.mark.parametrize("name", AGENTS)
def test_an_environment_is_built_from_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "the-real-one")
    monkeypatch.setenv("SECRET", "x")
    agent = prepare(name, "http://127.0.0.1:9", tmp_path)
    assert agent.command == installed()[name]
    assert agent.home.parent == tmp_path
    assert agent.directory.is_relative_to(agent.home)
    assert agent.environment["HOME"] == str(agent.home)
    assert "SECRET" not in agent.environment
    assert "the-real-one" not in agent.environment.values()
    assert prepare(name, "http://127.0.0.1:9", tmp_path).home != agent.home
