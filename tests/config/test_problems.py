"""A wrong configuration is told with key, value, what is allowed and place, without secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinvkd.config import Settings
from clinvkd.errors import ConfigError


def problems(directory: Path, text: str) -> list[str]:
    """The problems of a file, its own path left out."""
    path = directory / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        Settings.load(path, environ={})
    return str(caught.value).replace(f"{path}:", "line ").splitlines()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "server:\n  port: 70000\n",
            "server.port: is 70000, allowed is a whole number from 0 to 65535 (line 2)",
        ),
        (
            "server: {port: '8080'}",
            "server.port: is '8080', allowed is a whole number from 0 to 65535 (line 1)",
        ),
        (
            "server: {port: true}",
            "server.port: is true, allowed is a whole number from 0 to 65535 (line 1)",
        ),
        (
            "server: {port: null}",
            "server.port: is null, allowed is a whole number from 0 to 65535 (line 1)",
        ),
        (
            "server: {port: 80.5}",
            "server.port: is 80.5, allowed is a whole number from 0 to 65535 (line 1)",
        ),
        (
            "server: {request_timeout_secs: 0}",
            (
                "server.request_timeout_secs: is 0, allowed is a number above 0, at most 604800"
                " (line 1)"
            ),
        ),
        (
            "pool: {idle_secs: .nan}",
            "pool.idle_secs: is nan, allowed is a number above 0, at most 604800 (line 1)",
        ),
        (
            "server: {metrics_enabled: yes}",
            "server.metrics_enabled: is 'yes', allowed is true or false (line 1)",
        ),
        (
            "log: {level: loud}",
            "log.level: is 'loud', allowed is one of debug, info, warning, error (line 1)",
        ),
        ("server: 3", None),
        (
            "server: {allowed_hosts: a}",
            "server.allowed_hosts: is 'a', allowed is a list of texts (line 1)",
        ),
        (
            "server:\n  allowed_hosts:\n    - a\n    - 3\n",
            "server.allowed_hosts[1]: is 3, allowed is a text (line 4)",
        ),
        (
            "server: {host: 'my host'}",
            "server.host: is 'my host', allowed is an IP address or a host name (line 1)",
        ),
        (
            "server: {host: 127.0.0.256}",
            "server.host: is '127.0.0.256', allowed is an IP address or a host name (line 1)",
        ),
        (
            "server: {trusted_proxies: [10.0.0.0/8, all]}",
            (
                "server.trusted_proxies[1]: is 'all', allowed is an IP address or a network in CIDR"
                " notation (line 1)"
            ),
        ),
        (
            "server: {allowed_workdir_prefixes: [src]}",
            "server.allowed_workdir_prefixes[0]: is 'src', allowed is an absolute path, or one",
        ),
        (
            "server: {api_keys_gopass_path: 'a b'}",
            (
                "server.api_keys_gopass_path: is 'a b', allowed is the path of a secret, such as"
                " team/clinvk (line 1)"
            ),
        ),
        (
            "backends:\n  claude:\n    approval_mode: never\n",
            (
                "backends.claude.approval_mode: is 'never', allowed is one of default, auto, none,"
                " always, ask or null (line 3)"
            ),
        ),
        (
            "backends: {claude: {command: []}}",
            (
                "backends.claude.command: is an empty list, allowed is a list of at least one text"
                " (line 1)"
            ),
        ),
        (
            'backends: {claude: {command: ["a\\0b"]}}',
            (
                r"backends.claude.command[0]: is 'a\x00b', allowed is a text that matches"
                r" ^[^\x00]+$ (line 1)"
            ),
        ),
        (
            "backends: {claude: {allowed_tools: 'Bash(git'}}",
            (
                "backends.claude.allowed_tools: is 'Bash(git', allowed is tool names separated by"
                " commas or blanks, brackets in pairs (line 1)"
            ),
        ),
        (
            "backends: {claude: {pass_environment: ['*']}}",
            (
                "backends.claude.pass_environment[0]: is '*', allowed is a text that matches"
                r" ^[A-Za-z_][A-Za-z0-9_]*\*?$ (line 1)"
            ),
        ),
        (
            "backends: {claude: {pool: {agents: 0}}}",
            (
                "backends.claude.pool.agents: is 0, allowed is a whole number from 1 to 256 or null"
                " (line 1)"
            ),
        ),
        (
            "backends:\n  mine:\n    driver: acp\n",
            "backends.mine.command: is missing, allowed is a list of texts or one text (line 2)",
        ),
        (
            "backends:\n  mine:\n    command: [mine]\n",
            "backends.mine.driver: is missing, allowed is one of claude, codex, acp (line 2)",
        ),
        (
            "backends:\n  My-Agent: {driver: acp, command: [a]}\n",
            (
                "backends.My-Agent: is not a valid name, allowed is a text that matches"
                " ^[a-z][a-z0-9_-]{0,31}$ (line 2)"
            ),
        ),
        (
            "default_backend: claud",
            (
                "default_backend: is 'claud', allowed is auto or an enabled backend: claude, codex,"
                " gemini, local, echo (line 1)"
            ),
        ),
        ("server:\n  prot: 1\n", "server.prot: unknown key, did you mean server.port? (line 2)"),
        ("port: 1", "port: unknown key, did you mean server.port? (line 1)"),
        ("sever: {}", "sever: unknown key, did you mean server? (line 1)"),
        (
            "backends: {claude: {comand: [a]}}",
            "backends.claude.comand: unknown key, did you mean backends.claude.command? (line 1)",
        ),
        (
            "log: {colour: true}",
            "log.colour: unknown key, did you mean output.color? (line 1)",
        ),
        (
            "log: {xyzzy: true}",
            "log.xyzzy: unknown key, known here are level, format (line 1)",
        ),
        ("_case_sensitive: true", "_case_sensitive: unknown key, known here are backends"),
    ],
)
def test_a_problem_is_one_line_that_says_everything(
    tmp_path: Path, text: str, problem: str | None
) -> None:
    (line,) = problems(tmp_path, text)
    assert line.startswith(problem or "server: is 3, allowed is a mapping with the keys host, port")


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    lines = problems(tmp_path, "server: {port: -1, prot: 2}\nlog: {level: x}\nnothing: {}\n")
    assert [line.split(":")[0] for line in lines] == [
        "server.port",
        "server.prot",
        "log.level",
        "nothing",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "server: {api_keys: s3cret}",
        "api_key: s3cret",
        "backends: {claude: {environment: {TOKEN: [s3cret]}}}",
        "backends: {claude: {environment: s3cret}}",
        "backends: {claude: {environment: {'bad name': s3cret}}}",
        "backends: {claude: {environmnt: {TOKEN: s3cret}}}",
        "server: [s3cret]",
    ],
)
def test_what_may_be_a_secret_is_not_shown(tmp_path: Path, text: str) -> None:
    assert not [line for line in problems(tmp_path, text) if "s3cret" in line]


def test_a_number_for_a_secret_is_not_shown(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, "backends: {claude: {environment: {PIN: 271828}}}")
    assert line == (
        "backends.claude.environment.PIN: is a value that is not shown, allowed is a text (line 1)"
    )


def test_a_long_value_is_shortened(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, f"log: {{level: {'x' * 5000}}}")
    assert len(line) < 200


def test_the_strongest_source_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("server: {port: 1}")
    environ = {"CLINVK_SERVER__PORT": "-1"}
    with pytest.raises(ConfigError, match=r"server\.port: is -1.*\(CLINVK_SERVER__PORT\)"):
        Settings.load(path, environ=environ)
    with pytest.raises(ConfigError, match=r"server\.port: is -2.*\(--port\)"):
        Settings.load(path, {"server": {"port": -2}}, environ)
