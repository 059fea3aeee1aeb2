"""What a key's scopes refuse, whichever API the prompt came through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clinvkd.config import Settings
from clinvkd.errors import Forbidden
from clinvkd.intake import Approved, Asked, Intake
from clinvkd.keys import OWNER, SAME_USER, STRANGER, Caller, Scopes
from clinvkd.prompt import Message, Text

PROMPT = (Message("user", (Text("hi"),)),)


def approve(caller: Caller, sections: dict[str, Any] | None = None, /, **asked: Any) -> Approved:
    settings = Settings.model_validate({"default_backend": "claude", **(sections or {})})
    intake = Intake(settings, lambda: "claude")
    return intake.approve(Asked(**{"messages": PROMPT, **asked}), caller)


def key(*words: str) -> Caller:
    return Caller("ci", Scopes.parse(words))


def refusal(caller: Caller, sections: dict[str, Any] | None = None, /, **asked: Any) -> Forbidden:
    with pytest.raises(Forbidden) as caught:
        approve(caller, sections, **asked)
    return caught.value


def test_a_prompt_belongs_to_the_name_of_its_key() -> None:
    assert approve(key()).prompt.client == "ci"
    assert approve(SAME_USER).prompt.client == ""


@pytest.mark.parametrize(
    ("scope", "allowed", "refused", "param"),
    [
        ("backends=echo,claude", {"backend": "echo"}, {"backend": "codex"}, "backend"),
        ("backends=claude", {}, {"backend": "echo"}, "backend"),
        ("backends=echo", {"backend": "echo"}, {}, "backend"),
        ("models=claude-*", {"model": "claude-opus-4"}, {"model": "opus"}, "model"),
        ("models=haiku", {"model": "fast"}, {}, "model"),
        ("models=fast", {"model": "fast"}, {"model": "haiku"}, "model"),
        ("approval_modes=auto", {"approval": "auto"}, {"approval": "always"}, "approval_mode"),
        (
            "sandbox_modes=read-only",
            {"sandbox": "read-only"},
            {"sandbox": "workspace"},
            "sandbox_mode",
        ),
        ("dangerous=no", {"approval": "auto"}, {"approval": "none"}, "approval_mode"),
        ("dangerous=no", {"sandbox": "workspace"}, {"sandbox": "full"}, "sandbox_mode"),
        ("workdirs={0}", {"workdir": "{0}/in"}, {"workdir": "{0}-not"}, "workdir"),
    ],
)
def test_a_scope_refuses_what_it_does_not_cover(
    tmp_path: Path, scope: str, allowed: dict[str, Any], refused: dict[str, Any], param: str
) -> None:
    mine = tmp_path / "mine"
    (mine / "in").mkdir(parents=True)
    (tmp_path / "mine-not").mkdir()

    def filled(values: dict[str, str]) -> dict[str, str]:
        return {name: value.format(mine) for name, value in values.items()}

    caller = key(scope.format(mine))
    approve(caller, **filled(allowed))
    approve(key(), **filled(refused))
    error = refusal(caller, **filled(refused))
    assert error.param == param
    assert "API key may not use" in error.message


def test_the_configuration_counts_as_if_it_had_been_asked() -> None:
    sections = {"backends": {"claude": {"tools": "on", "sandbox_mode": "full", "model": "opus"}}}
    assert refusal(key("dangerous=no"), sections).param == "sandbox_mode"
    assert refusal(key("models=haiku"), sections).param == "model"
    approve(OWNER, sections)


def test_a_mode_means_nothing_to_an_agent_without_tools() -> None:
    sections = {"backends": {"claude": {"tools": "off", "approval_mode": "none"}}}
    approve(SAME_USER, sections)
    approve(key("approval_modes=auto"), sections)


@pytest.mark.parametrize(
    ("asked", "param"),
    [({"approval": "none"}, "approval_mode"), ({"sandbox": "full"}, "sandbox_mode")],
)
def test_without_keys_nobody_gets_a_dangerous_mode(asked: dict[str, Any], param: str) -> None:
    error = refusal(SAME_USER, **asked)
    assert error.param == param
    assert "clinvk keys generate" in error.message
    approve(SAME_USER, approval="auto", sandbox="workspace")


def test_a_stranger_gets_nothing() -> None:
    assert refusal(STRANGER).param == "backend"


@pytest.mark.parametrize("text", ["{0}", "{0}/secret", "{0}/none", "{1}/link", "{1}/../other"])
def test_nothing_outside_of_a_keys_directories_is_told_of(tmp_path: Path, text: str) -> None:
    other, mine = tmp_path / "other", tmp_path / "mine"
    (other / "secret").mkdir(parents=True)
    mine.mkdir()
    (mine / "link").symlink_to(other)
    caller = key(f"workdirs={mine}")
    error = refusal(caller, workdir=text.format(other, mine))
    assert error.message.startswith("this API key may not use workdir")
    assert approve(caller, workdir=str(mine)).prompt.workdir == mine
    assert approve(caller).prompt.workdir is None
