"""The model catalog that chats with codex get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clinvkd.drivers.base import Json, WriteFile
from clinvkd.drivers.codex import CodexDriver
from clinvkd.drivers.codex.catalog import chat_catalog
from clinvkd.errors import BackendUnavailable, ConfigError

from .codex_talk import LOGGED_IN, SCRATCH, Talk, agent, asked, backend, started
from .playing import Played, play

PRINTED: Json = {
    "models": [
        {
            "slug": "gpt-6-sol",
            "context_window": 272000,
            "tool_mode": "code_mode_only",
            "multi_agent_version": "v2",
            "use_responses_lite": True,
            "apply_patch_tool_type": "freeform",
            "experimental_supported_tools": ["clock"],
            "supports_search_tool": True,
            "model_messages": {"instructions_template": "You are Codex"},
            "base_instructions": "You are Codex",
        },
        {"slug": "own", "base_instructions": ""},
    ]
}
PLAIN: Json = {
    "apply_patch_tool_type": None,
    "experimental_supported_tools": [],
    "supports_search_tool": False,
    "use_responses_lite": False,
    "base_instructions": "",
}
PATH = SCRATCH / "models.json"


def handshake(printed: bytes | None, **quirks: Any) -> tuple[CodexDriver, Played]:
    driver = CodexDriver(backend(quirks=quirks), SCRATCH)
    results: list[Json] = [{}, LOGGED_IN, {}]
    answers = [{"id": number, "result": result} for number, result in enumerate(results, 1)]
    return driver, play(driver.start(), answers, printed)


def catalog_of(driver: CodexDriver, **options: Any) -> str | None:
    (start,) = Talk(driver).bind(asked(**options)).sent
    path = start["params"]["config"].get("model_catalog_json")
    assert path is None or isinstance(path, str)
    return path


def test_every_model_gets_plain_tools() -> None:
    assert json.loads(chat_catalog(json.dumps(PRINTED).encode())) == {
        "models": [
            {"slug": "gpt-6-sol", "context_window": 272000, **PLAIN},
            {"slug": "own", **PLAIN},
        ]
    }


def test_chats_get_the_catalog_and_agents_codex_own() -> None:
    driver, played = handshake(json.dumps(PRINTED).encode())
    assert played.commands == [("debug", "models")]
    assert played.files == [WriteFile(PATH, chat_catalog(json.dumps(PRINTED).encode()))]
    assert driver.warnings == ()
    assert catalog_of(driver) == str(PATH)
    assert catalog_of(driver, permissions=agent(), workdir=Path("/w")) is None


@pytest.mark.parametrize(
    "printed", [None, b"", b"error: no such command", b"[]", b'{"models":[]}', b'{"models":["x"]}']
)
def test_without_a_catalog_it_works_and_says_so(printed: bytes | None) -> None:
    driver, played = handshake(printed)
    assert played.finished
    assert played.files == []
    (warning,) = driver.warnings
    assert "codex debug models" in warning
    assert catalog_of(driver) is None


def test_catalog_that_codex_does_not_take() -> None:
    driver = started(catalog=json.dumps(PRINTED).encode())
    refused = {"error": {"code": -32600, "message": "failed to parse model_catalog_json"}}
    talk = Talk(driver)
    played = talk.play(talk.script.bind(asked()), [refused, {"result": {"thread": {"id": "t"}}}])
    assert played.finished
    first, second = (sent["params"]["config"] for sent in played.sent)
    assert first["model_catalog_json"] == str(PATH)
    assert second == {key: first[key] for key in first if key != "model_catalog_json"}
    (warning,) = driver.warnings
    assert "does not take the model catalog" in warning
    assert catalog_of(driver) is None


def test_a_thread_that_fails_for_another_reason_blames_not_the_catalog() -> None:
    driver = started(catalog=json.dumps(PRINTED).encode())
    refused = {"error": {"code": -32600, "message": "Model provider `x` not found"}}
    talk = Talk(driver)
    with pytest.raises(BackendUnavailable, match="provider `x` not found"):
        talk.play(talk.script.bind(asked()), [refused, refused])
    assert driver.warnings == ()


def test_switched_off() -> None:
    driver, played = handshake(json.dumps(PRINTED).encode(), model_catalog=False)
    assert (played.commands, played.files, driver.warnings) == ([], [], ())
    assert catalog_of(driver) is None


@pytest.mark.parametrize(
    ("quirks", "complaint"),
    [
        ({"model_catalog": "no"}, r"backends.codex.quirks.model_catalog: 'no' is wrong"),
        ({"catalog": False}, r"backends.codex.quirks.catalog: unknown key, known is model_catalog"),
    ],
)
def test_wrong_quirks_stop_the_start(quirks: Json, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        CodexDriver.launch(backend(quirks=quirks), asked())
