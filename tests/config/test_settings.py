"""Where a value comes from, how sources merge, and what the settings answer."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from clinvkd.config import Settings, config_path, home_directory
from clinvkd.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def load(file: Path, text: str, environ: Mapping[str, str] = {}, **overrides: Any) -> Settings:
    file.write_text(text)
    return Settings.load(file, overrides, environ)


def test_without_anything_the_built_ins_hold(tmp_path: Path) -> None:
    settings = Settings.load(environ={"HOME": str(tmp_path)})
    assert settings == Settings()
    assert settings.default_backend == "auto"
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8080)
    assert {name: backend.driver for name, backend in settings.backends.items()} == {
        "claude": "claude",
        "codex": "codex",
        "gemini": "acp",
        "local": "acp",
        "echo": "acp",
    }
    assert settings.backends["gemini"].command == ("gemini", "--acp")
    assert settings.backends["echo"].command == (sys.executable, "-P", "-m", "clinvkd.agents.echo")
    assert settings.backends["codex"].pass_environment == ("OPENAI_*", "CODEX_*")


def test_flag_beats_environment_beats_file_beats_built_in(file: Path) -> None:
    text = "server: {port: 1}"
    environ = {"CLINVK_SERVER__PORT": "2"}
    assert load(file, "").server.port == 8080
    assert load(file, text).server.port == 1
    assert load(file, text, environ).server.port == 2
    assert load(file, text, environ, server={"port": 3}).server.port == 3


def test_sources_merge_key_by_key(file: Path) -> None:
    settings = load(
        file,
        "server: {host: 127.0.0.2}\nbackends: {claude: {model: opus}}",
        {"CLINVK_BACKENDS__CLAUDE__TOOLS": "off"},
        server={"port": 9},
    )
    assert (settings.server.host, settings.server.port) == ("127.0.0.2", 9)
    claude = settings.backends["claude"]
    assert (claude.driver, claude.command, claude.model, claude.tools) == (
        "claude",
        ("claude",),
        "opus",
        "off",
    )


def test_a_list_replaces_the_list_below(file: Path) -> None:
    settings = load(file, "backends: {claude: {pass_environment: [ONLY_THIS]}}")
    assert settings.backends["claude"].pass_environment == ("ONLY_THIS",)


def test_four_lines_make_an_acp_backend(file: Path) -> None:
    settings = load(
        file,
        "backends:\n  opencode:\n    driver: acp\n    command: [opencode, acp]\n",
    )
    assert settings.backends["opencode"].command == ("opencode", "acp")
    assert "claude" in settings.backends


@pytest.mark.parametrize("section", ["server:", "backends:", "backends:\n  claude:", "pool:"])
def test_a_section_with_all_keys_commented_out_is_empty(file: Path, section: str) -> None:
    assert load(file, section + "\n") == Settings()


def test_a_command_of_one_text_is_one_word(file: Path) -> None:
    settings = load(file, "backends: {claude: {command: /opt/my tools/claude}}")
    assert settings.backends["claude"].command == ("/opt/my tools/claude",)


@pytest.mark.parametrize(
    "written",
    [
        "Edit, Bash(git log:*, x) Read",
        "'Edit Bash(git log:*, x),Read'",
        "[Edit, 'Bash(git log:*, x)', Read]",
    ],
)
def test_allowed_tools_are_a_list_or_one_text(file: Path, written: str) -> None:
    settings = load(file, f"backends:\n  claude:\n    allowed_tools: {written}\n")
    assert settings.backends["claude"].allowed_tools == ("Edit", "Bash(git log:*, x)", "Read")


def test_on_and_off_are_words(file: Path) -> None:
    assert load(file, "backends: {claude: {tools: on}}").backends["claude"].tools == "on"


def test_a_backends_pool_overrides_only_its_keys(file: Path) -> None:
    settings = load(file, "pool: {parked: 3, spares: 2}\nbackends: {codex: {pool: {spares: 0}}}")
    assert settings.pool_of("codex").spares == 0
    assert settings.pool_of("codex").parked == 3
    assert settings.pool_of("claude") == settings.pool


def test_every_backend_has_the_pool_that_was_configured(file: Path) -> None:
    settings = load(file, "pool: {conversations: 3}")
    assert {settings.pool_of(name).conversations for name in settings.backends} == {3}
    settings = load(file, "pool: {conversations: 3}", {"CLINVK_POOL__CONVERSATIONS": "1"})
    assert {settings.pool_of(name).conversations for name in settings.backends} == {1}


def test_a_backends_pool_may_repeat_a_built_in_value(file: Path) -> None:
    settings = load(file, "pool: {spares: 4}\nbackends: {codex: {pool: {spares: 1}}}")
    assert settings.pool_of("codex").spares == 1


def test_auto_tries_known_agents_then_configured_ones_then_the_embedded() -> None:
    mine = {"driver": "acp", "command": ["mine"]}
    settings = Settings.model_validate({"backends": {"mine": mine, "codex": {"enabled": False}}})
    assert settings.auto_order() == ("claude", "gemini", "mine", "local", "echo")


@pytest.mark.parametrize("name", ["auto", "echo", "mine"])
def test_the_default_backend_may_be_any_enabled_one(name: str) -> None:
    mine = {"driver": "acp", "command": ["mine"]}
    settings = Settings.model_validate({"default_backend": name, "backends": {"mine": mine}})
    assert settings.default_backend == name


def test_the_default_backend_must_be_enabled(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(file, "default_backend: echo\nbackends: {echo: {enabled: false}}")
    assert "default_backend: is 'echo'" in str(caught.value)
    assert "claude, codex, gemini, local" in str(caught.value)


def test_settings_cannot_be_changed() -> None:
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.server.port = 1  # type: ignore[misc]
    with pytest.raises(ValidationError):
        settings.default_backend = "echo"  # type: ignore[misc]


def test_plain_construction_reads_neither_file_nor_environment(
    clinvk_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clinvk_home / "config.yaml").write_text("server: {port: 1}")
    monkeypatch.setenv("CLINVK_SERVER__PORT", "2")
    assert Settings().server.port == 8080
    assert Settings.load().server.port == 2


def test_the_environment_is_not_kept() -> None:
    environ = {"CLINVK_API_KEYS": "s3cret", "HOME": "/nonexistent"}
    settings = Settings.load(environ=environ)
    assert "s3cret" not in repr(settings.__dict__) + repr(settings)


def test_values_of_an_agents_environment_are_hidden(file: Path) -> None:
    settings = load(file, "backends: {claude: {environment: {TOKEN: s3cret}}}")
    assert settings.backends["claude"].environment["TOKEN"].get_secret_value() == "s3cret"
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in settings.model_dump_json()


@pytest.mark.parametrize(
    ("environ", "path", "required"),
    [
        ({"HOME": "/h"}, "/h/.clinvk/config.yaml", False),
        ({"HOME": "/h", "CLINVK_HOME": "/c"}, "/c/config.yaml", False),
        ({"HOME": "/h", "CLINVK_HOME": "~/c"}, "/h/c/config.yaml", False),
        ({"HOME": "/h", "CLINVK_CONFIG": "/x.yaml", "CLINVK_HOME": "/c"}, "/x.yaml", True),
        ({"HOME": "/h", "CLINVK_CONFIG": "~/x.yaml"}, "/h/x.yaml", True),
        ({"HOME": "/h", "CLINVK_CONFIG": ""}, "/h/.clinvk/config.yaml", False),
    ],
)
def test_where_the_file_is(environ: Mapping[str, str], path: str, required: bool) -> None:
    assert config_path(None, environ) == (Path(path), required)


def test_a_named_file_wins_and_must_exist(tmp_path: Path) -> None:
    named = tmp_path / "named.yaml"
    assert config_path(named, {"CLINVK_CONFIG": "/x.yaml"}) == (named, True)
    with pytest.raises(ConfigError, match=r"named\.yaml: there is no such file"):
        Settings.load(named, environ={})


def test_a_file_named_by_variable_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        Settings.load(environ={"CLINVK_CONFIG": str(tmp_path / "none.yaml")})


def test_the_home_directory_holds_the_file(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("server: {port: 5}")
    environ = {"CLINVK_HOME": str(tmp_path)}
    assert home_directory(environ) == tmp_path
    assert Settings.load(environ=environ).server.port == 5
