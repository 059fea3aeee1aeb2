"""The command line as a person runs it: real processes, their output and exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clinvkd import __version__
from clinvkd.cli import EX_CONFIG


def clinvk(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "clinvkd", *arguments],
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("arguments", [("version",), ("--version",)])
def test_version_is_printed(arguments: tuple[str, ...]) -> None:
    done = clinvk(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"clinvk {__version__}\n", "")


def test_path_tells_which_file_is_read(tmp_path: Path, clinvk_home: Path) -> None:
    assert clinvk("config", "path").stdout == f"{clinvk_home / 'config.yaml'}\n"
    named = str(tmp_path / "none.yaml")
    assert clinvk("config", "path", CLINVK_CONFIG=named).stdout == f"{named}\n"
    assert clinvk("config", "path", "--config", named).stdout == f"{named}\n"


def test_show_prints_settings_with_their_origin(clinvk_home: Path) -> None:
    file = clinvk_home / "config.yaml"
    file.write_text("server:\n  port: 9000\n")
    done = clinvk("config", "show", CLINVK_DEBUG="1")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert f"  port: 9000  # {file}:2" in lines
    assert "  level: debug  # CLINVK_DEBUG" in lines
    assert "default_backend: auto" in lines


def test_schema_is_json() -> None:
    schema = json.loads(clinvk("config", "schema").stdout)
    assert schema["properties"]["server"]["$ref"] == "#/$defs/ServerSettings"


def test_a_wrong_configuration_stops_with_its_problems(clinvk_home: Path) -> None:
    file = clinvk_home / "config.yaml"
    file.write_text("server:\n  port: http\n  prot: 1\n")
    done = clinvk("config", "show")
    assert done.returncode == EX_CONFIG
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "clinvk: the configuration is wrong:",
        f"  server.port: is 'http', allowed is a whole number from 0 to 65535 ({file}:2)",
        f"  server.prot: unknown key, did you mean server.port? ({file}:3)",
    ]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--port", "70000"), "server.port: is 70000"),
        (("--host", "my host"), "server.host: is 'my host'"),
        (("--backend", "nobody"), "default_backend: is 'nobody'"),
        (("--config", "/nonexistent.yaml"), "/nonexistent.yaml: there is no such file"),
    ],
)
def test_serve_refuses_wrong_flags(arguments: tuple[str, ...], problem: str) -> None:
    done = clinvk("serve", *arguments)
    assert done.returncode == EX_CONFIG
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


def test_a_flag_is_named_as_the_origin() -> None:
    assert "(--port)" in clinvk("serve", "--port", "-1").stderr


def test_serve_refuses_an_unknown_variable() -> None:
    done = clinvk("serve", CLINVK_PORT="80")
    assert done.returncode == EX_CONFIG
    assert "did you mean CLINVK_SERVER__PORT? (CLINVK_PORT)" in done.stderr


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("serve", "--nonsense"), ("serve", "-p", "x")]
)
def test_a_senseless_command_line_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    done = clinvk(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_help_names_all_commands() -> None:
    text = clinvk("--help").stdout
    assert all(command in text for command in ("serve", "config", "version"))
