"""The printed configuration is complete, tells origins, and can be read again."""

from __future__ import annotations

from pathlib import Path

from clinvkd.config import Settings, render

TEXT = """\
server:
  allowed_hosts: [box, "box:80"]
backends:
  claude:
    model: "1e3"
    system_prompt: "two\\nlines: # here"
    environment: {TOKEN: s3cret}
  mine:
    driver: acp
    command: [mine]
    quirks: {steps: [1, {on: null}], empty: {}}
    pool: {spares: 0}
"""


def shown(directory: Path) -> tuple[Settings, str]:
    path = directory / "config.yaml"
    path.write_text(TEXT)
    environ = {"CLINVK_POOL__IDLE_SECS": "3", "CLINVK_LOG": '{"level": "debug"}'}
    settings, sources = Settings.load_with_sources(path, {"server": {"port": 0}}, environ)
    return settings, render(settings, sources)


def test_every_value_tells_where_it_was_written(tmp_path: Path) -> None:
    lines = shown(tmp_path)[1].splitlines()
    path = tmp_path / "config.yaml"
    assert f"  allowed_hosts: [box, box:80]  # {path}:2" in lines
    assert f"    model: '1e3'  # {path}:5" in lines
    assert f"      spares: 0  # {path}:12" in lines
    assert "  idle_secs: 3  # CLINVK_POOL__IDLE_SECS" in lines
    assert "  level: debug  # CLINVK_LOG" in lines
    assert "  port: 0  # --port" in lines


def test_a_built_in_value_has_no_origin(tmp_path: Path) -> None:
    lines = shown(tmp_path)[1].splitlines()
    assert "  host: 127.0.0.1" in lines
    assert "    command: [claude]" in lines
    assert "  max_age_secs: 14400" in lines


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    text = shown(tmp_path)[1]
    assert "TOKEN: '**********'" in text
    assert "s3cret" not in text


def test_what_is_shown_can_be_loaded(tmp_path: Path) -> None:
    settings, text = shown(tmp_path)
    again = tmp_path / "again.yaml"
    again.write_text(text.replace("'**********'", "s3cret"))
    assert Settings.load(again, environ={}) == settings
