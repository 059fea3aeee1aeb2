"""What a key may be used for: how it is written, and what it allows."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from clinvkd.keys import Scopes
from clinvkd.keys.scopes import SCOPES

ALL = (
    "backends=claude,codex",
    "models=claude-*,sonnet",
    "approval_modes=auto,default",
    "sandbox_modes=read-only",
    "workdirs=/tmp",
    "dangerous=no",
    "every_session=yes",
    "rpm=60",
    "turns=2",
    "tokens_per_day=100000",
)


def test_every_scope_can_be_written_and_read_back() -> None:
    scopes = Scopes.parse(ALL)
    assert scopes == Scopes(
        backends=frozenset({"claude", "codex"}),
        models=("claude-*", "sonnet"),
        approval_modes=frozenset({"default", "auto"}),
        sandbox_modes=frozenset({"read-only"}),
        workdirs=(Path("/tmp").resolve(),),
        dangerous=False,
        every_session=True,
        requests_per_minute=60,
        concurrent_turns=2,
        tokens_per_day=100_000,
    )
    assert tuple(scopes.words()) == ALL
    assert len(SCOPES) == len(fields(Scopes))


def test_no_word_is_no_limit() -> None:
    scopes = Scopes.parse([])
    assert scopes.words() == []
    assert scopes.allows_backend("any")
    assert scopes.allows_model(None)
    assert scopes.dangerous
    assert not scopes.every_session


@pytest.mark.parametrize(
    "words",
    [
        ["backend=claude"], ["backends"], ["backends="], ["backends=a,,b"], ["dangerous=false"],
        ["dangerous"], ["rpm=0"], ["rpm=-1"], ["rpm=1.5"], ["rpm=many"], ["rpm=²"],
        ["turns=9999999999999"], ["workdirs=relative"], ["approval_modes=sometimes"],
        ["sandbox_modes=full,half"], ["rpm=1", "rpm=2"], [""],
    ],
)  # fmt: skip
def test_a_word_that_means_nothing_is_an_error(words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"is no scope|stands twice|[a-z]=.*: "):
        Scopes.parse(words)


def test_backends_and_models_are_allowed_by_name_and_pattern() -> None:
    scopes = Scopes.parse(["backends=claude", "models=claude-*,fast"])
    assert scopes.allows_backend("claude")
    assert not scopes.allows_backend("codex")
    assert scopes.allows_model("claude-opus-4")
    assert scopes.allows_model("fast", "haiku")
    assert not scopes.allows_model("opus")
    assert not scopes.allows_model("CLAUDE-x")
    assert not scopes.allows_model(None, None)
