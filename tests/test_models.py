"""What model names mean, for any configuration."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinvkd.config import Settings
from clinvkd.errors import NotFound
from clinvkd.models import Choice, ModelNames


def names(**sections: Any) -> ModelNames:
    return ModelNames(Settings.model_validate(sections), lambda: "echo")


@pytest.mark.parametrize(
    ("name", "backend", "model"),
    [
        ("claude", "claude", None),
        ("claude/opus", "claude", "opus"),
        ("codex/a/b", "codex", "a/b"),
        ("claude-opus-4-5", "claude", "claude-opus-4-5"),
        ("gpt-5.2", "codex", "gpt-5.2"),
        ("chatgpt-4o-latest", "codex", "chatgpt-4o-latest"),
        ("codex-mini-latest", "codex", "codex-mini-latest"),
        ("o1", "codex", "o1"),
        ("o3-pro", "codex", "o3-pro"),
        ("o4-mini", "codex", "o4-mini"),
        ("gemini-2.5-flash", "gemini", "gemini-2.5-flash"),
    ],
)
def test_names_with_a_meaning(name: str, backend: str, model: str | None) -> None:
    for strict in (False, True):
        meant = names(models={"strict_models": strict}).resolve(name)
        assert meant == Choice(backend, model)


@pytest.mark.parametrize(
    "name", ["", "Claude", "claude/", "/claude", "o12", "o2", "o3x", "ogpt-4", "gpt", "nobody/x"]
)
def test_names_without(name: str) -> None:
    assert names().resolve(name) == Choice("echo", None, guessed=True)
    with pytest.raises(NotFound) as caught:
        names(models={"strict_models": True}).resolve(name)
    assert caught.value.param == "model"


def test_the_table_wins_over_everything() -> None:
    aliases = {"claude": "codex", "gpt-5": "gemini/pro", "codex/x": "claude-opus-4-5"}
    table = names(models={"aliases": aliases})
    assert table.resolve("claude") == Choice("codex", None)
    assert table.resolve("gpt-5") == Choice("gemini", "pro")
    assert table.resolve("codex/x") == Choice("claude", "claude-opus-4-5")
    assert dict(table.listed())["claude"] == "codex"


def test_an_alias_is_followed_once() -> None:
    table = names(models={"aliases": {"a": "b", "b": "a"}})
    assert table.resolve("a").guessed
    assert {"a", "b"}.isdisjoint(dict(table.listed()))


def test_a_disabled_backend_means_nothing() -> None:
    table = names(backends={"codex": {"enabled": False}})
    for name in ("codex", "codex/x", "gpt-5"):
        assert table.resolve(name).guessed
    assert "codex" not in dict(table.listed())


@given(st.text(max_size=30))
def test_every_listed_name_is_one_that_resolves(name: str) -> None:
    table = names(models={"aliases": {name: "claude/x"} if name else {}, "strict_models": True})
    for listed, backend in table.listed():
        assert table.resolve(listed).backend == backend
