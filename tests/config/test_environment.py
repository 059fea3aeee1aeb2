"""`CLINVK_*` variables: names, values, and what happens to names nobody knows."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from clinvkd.config import Settings
from clinvkd.errors import ConfigError


def load(**environ: str) -> Settings:
    return Settings.load(environ={"HOME": "/nonexistent", **environ})


def value(settings: Settings, path: str) -> object:
    found: object = settings
    for key in path.split("."):
        found = found[key] if isinstance(found, Mapping) else getattr(found, key)
    return found


@pytest.mark.parametrize(
    ("name", "text", "path", "expected"),
    [
        ("CLINVK_SERVER__PORT", "9000", "server.port", 9000),
        ("CLINVK_SERVER__METRICS_ENABLED", "yes", "server.metrics_enabled", True),
        ("CLINVK_SERVER__METRICS_ENABLED", "0", "server.metrics_enabled", False),
        ("CLINVK_POOL__IDLE_SECS", "0.5", "pool.idle_secs", 0.5),
        ("CLINVK_POOL__AGENTS", "4", "pool.agents", 4),
        ("CLINVK_POOL__AGENTS", "null", "pool.agents", None),
        ("CLINVK_LOG__LEVEL", "debug", "log.level", "debug"),
        ("CLINVK_DEFAULT_BACKEND", "echo", "default_backend", "echo"),
        ("CLINVK_SERVER__ALLOWED_HOSTS", "a, b", "server.allowed_hosts", ("a", "b")),
        ("CLINVK_SERVER__ALLOWED_HOSTS", '["a, b"]', "server.allowed_hosts", ("a, b",)),
        ("CLINVK_BACKENDS__CLAUDE__MODEL", "4", "backends.claude.model", "4"),
        ("CLINVK_BACKENDS__CLAUDE__COMMAND", "/a b,c", "backends.claude.command", ("/a b,c",)),
        ("CLINVK_BACKENDS__CLAUDE__COMMAND", '["a", "b"]', "backends.claude.command", ("a", "b")),
        (
            "CLINVK_BACKENDS__CLAUDE__ALLOWED_TOOLS",
            "A B",
            "backends.claude.allowed_tools",
            ("A", "B"),
        ),
        ("CLINVK_BACKENDS__CLAUDE__SYSTEM_PROMPT", "[x", "backends.claude.system_prompt", "[x"),
        ("CLINVK_BACKENDS__CLAUDE__POOL__SPARES", "3", "backends.claude.pool.spares", 3),
        ("CLINVK_BACKENDS__ECHO__QUIRKS", '{"a": [1]}', "backends.echo.quirks.a", [1]),
        ("CLINVK_BACKENDS__ECHO__QUIRKS__A", "true", "backends.echo.quirks.A", True),
        ("CLINVK_BACKENDS__ECHO__QUIRKS__A", "text", "backends.echo.quirks.A", "text"),
        ("CLINVK_SERVER", '{"port": 7}', "server.port", 7),
        ("CLINVK_BACKEND", "echo", "default_backend", "echo"),
        ("CLINVK_CLAUDE_MODEL", "m", "backends.claude.model", "m"),
        ("CLINVK_CODEX_MODEL", "m", "backends.codex.model", "m"),
        ("CLINVK_GEMINI_MODEL", "m", "backends.gemini.model", "m"),
        ("CLINVK_DEBUG", "1", "log.level", "debug"),
        ("CLINVK_DEBUG", "false", "log.level", "info"),
        ("CLINVK_API_KEYS_GOPASS_PATH", "a/b", "server.api_keys_gopass_path", "a/b"),
    ],
)
def test_a_variable_sets_a_value(name: str, text: str, path: str, expected: object) -> None:
    assert value(load(**{name: text}), path) == expected


def test_names_in_an_agents_environment_keep_their_case() -> None:
    settings = load(CLINVK_BACKENDS__CLAUDE__ENVIRONMENT__My__Var="x")
    assert settings.backends["claude"].environment["My__Var"].get_secret_value() == "x"


def test_a_backend_can_be_made_of_variables_alone() -> None:
    settings = load(
        CLINVK_BACKENDS__OPENCODE__DRIVER="acp",
        CLINVK_BACKENDS__OPENCODE__COMMAND='["opencode", "acp"]',
    )
    assert settings.backends["opencode"].command == ("opencode", "acp")


def test_the_full_name_wins_over_the_short_one() -> None:
    settings = load(CLINVK_BACKEND="echo", CLINVK_DEFAULT_BACKEND="local")
    assert settings.default_backend == "local"
    assert load(CLINVK_DEBUG="1", CLINVK_LOG__LEVEL="error").log.level == "error"


def test_a_deeper_name_wins_over_the_whole_section() -> None:
    settings = load(CLINVK_SERVER='{"port": 7, "host": "::1"}', CLINVK_SERVER__PORT="8")
    assert (settings.server.host, settings.server.port) == ("::1", 8)


@pytest.mark.parametrize("name", ["CLINVK_SERVER__PORT", "CLINVK_BACKEND", "CLINVK_NOTHING"])
def test_an_empty_variable_counts_as_not_set(name: str) -> None:
    assert load(**{name: ""}) == Settings()


@pytest.mark.parametrize(
    "name",
    ["CLINVK_API_KEYS", "CLINVK_API_KEY", "CLINVK_TEST_CACHE", "CLINVK_HOME", "OTHER_VARIABLE"],
)
def test_variables_with_another_use_are_left_alone(name: str) -> None:
    assert load(**{name: "/nonexistent"}) == Settings()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "CLINVK_PORT",
            "port: unknown key, did you mean CLINVK_SERVER__PORT? (CLINVK_PORT)",
        ),
        (
            "CLINVK_SERVER__PROT",
            "server.prot: unknown key, did you mean CLINVK_SERVER__PORT? (CLINVK_SERVER__PROT)",
        ),
        (
            "CLINVK_DEFAULT_BACKND",
            "default_backnd: unknown key, did you mean CLINVK_DEFAULT_BACKEND?",
        ),
        ("CLINVK__CASE_SENSITIVE", "_case_sensitive: unknown key"),
        ("CLINVK_XYZ__A", "xyz: unknown key, known here are backends, default_backend"),
        ("CLINVK_BACKENDS__CLAUDE__XYZ", "backends.claude.xyz: unknown key"),
        ("CLINVK_SERVER__PORT__MORE", "server.port: is a mapping, allowed is a whole number"),
        ("CLINVK_SERVER__", "(CLINVK_SERVER__)"),
    ],
)
def test_an_unknown_variable_is_named(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(**{name: "s3cret"})
    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("CLINVK_SERVER__PORT", "x", "server.port: is 'x', allowed is a whole number"),
        ("CLINVK_SERVER__PORT", "70000", "server.port: is 70000, allowed is a whole number"),
        ("CLINVK_SERVER__PORT", "null", "server.port: is 'null'"),
        ("CLINVK_SERVER__METRICS_ENABLED", "maybe", "is 'maybe', allowed is true or false"),
        ("CLINVK_DEBUG", "loud", "log.level: is 'loud', allowed is one of debug"),
        ("CLINVK_BACKENDS__ECHO__COMMAND", '["a"', "backends.echo.command: is not a JSON array"),
        ("CLINVK_SERVER__ALLOWED_HOSTS", "[a", "server.allowed_hosts: is not a JSON array"),
        ("CLINVK_SERVER", "x", "server: is 'x', allowed is a mapping"),
        ("CLINVK_BACKEND", "nobody", "default_backend: is 'nobody', allowed is auto or"),
    ],
)
def test_a_wrong_value_is_told_with_its_variable(name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(**{name: text})
    assert message in str(caught.value)
    assert str(caught.value).endswith(f"({name})")
