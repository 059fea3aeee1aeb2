"""The configuration file is read by YAML 1.2's rules, and every mistake has a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinvkd.config import yaml_file
from clinvkd.errors import ConfigError


def parsed(directory: Path, text: str) -> dict[str, Any]:
    path = directory / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return yaml_file.read(path).values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("No", "No"),
        ("true", True),
        ("FALSE", False),
        ("", None),
        ("~", None),
        ("null", None),
        ("8080", 8080),
        ("010", 10),
        ("-3", -3),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".inf", float("inf")),
        ("12:30", "12:30"),
        ("2025-01-01", "2025-01-01"),
        ("0x10", "0x10"),
        ("'8080'", "8080"),
        ("[a, 1, {b: c}]", ["a", 1, {"b": "c"}]),
        ("|\n  two\n  lines", "two\nlines\n"),
    ],
)
def test_scalars_follow_the_core_schema(tmp_path: Path, text: str, value: object) -> None:
    assert parsed(tmp_path, f"key: {text}\n") == {"key": value}


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null\n", "{}\n"])
def test_a_file_without_content_holds_nothing(tmp_path: Path, text: str) -> None:
    assert parsed(tmp_path, text) == {}


def test_anchors_repeat_a_value(tmp_path: Path) -> None:
    assert parsed(tmp_path, "a: &x [1, 2]\nb: *x\n") == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("server:\n  port: 1\n  port: 2\n", ":3: the key 'port' was given before, on line 2"),
        ("a: 1\nb: [1, 2\n", ":3: not valid YAML"),
        ("a: 1\n1: b\n", ":2: a key must be text"),
        ("a: 1\n? [x]\n: y\n", ":2: a key must be text"),
        ("a: &x\n  b: *x\n", ":1: an alias must not stand inside"),
        ("a: !!python/name:os.system ''\n", ":1: a value of this kind is not supported"),
        ("a: !!int x\n", ":1: a value of this kind is not supported"),
        ("- a\n", ": must be a mapping"),
        ("text\n", ": must be a mapping"),
        ("a: 1\n---\nb: 2\n", ":2: not valid YAML"),
        ("a: \x01\n", ": not valid YAML: contains a control character"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(tmp_path, text)
    assert f"{tmp_path / 'config.yaml'}{problem}" in str(caught.value)


def test_broken_yaml_is_not_quoted(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(tmp_path, "api_key: [s3cret, 's3cret\n")
    assert "s3cret" not in str(caught.value)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        yaml_file.read(path)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        yaml_file.read(tmp_path)


def test_lines_are_known_for_keys_and_items(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("a:\n  b:\n    - x\n    - y\n")
    lines = yaml_file.read(path).lines
    assert lines == {("a",): 1, ("a", "b"): 2, ("a", "b", 0): 3, ("a", "b", 1): 4}


@given(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**15), 10**15),
        st.text(),
        st.sampled_from(["on", "null", "~", "1e3", "010", "0x10", ".inf", "12:30", "- a", "a: b"]),
    )
)
def test_a_printed_scalar_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, value: str | int | bool | None
) -> None:
    line = yaml_file.scalar(value)
    assert "\n" not in line
    assert parsed(tmp_path_factory.getbasetemp(), f"key: {line}  # comment\n") == {"key": value}
