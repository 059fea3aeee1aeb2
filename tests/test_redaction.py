"""What looks like a secret does not get into the log."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest
import structlog

from clinvkd import log
from clinvkd.config import LogSettings
from clinvkd.redaction import REDACTED, redact

SECRET = "S3cret-value_0123456789.abc"
KNOWN = [
    "clinvk_" + "x" * 43,
    "sk-ant-api03-" + "y" * 40,
    "AIza" + "z" * 35,
    "ghp_" + "w" * 36,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
]


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer {}", "authorization: basic {}", "Authorization: {}",
        "X-Api-Key: {}", "x-api-key={}", "GET /v1/models?api_key={}&a=1", "?a=1&api-key={}",
        "apikey={}", '{{"api_key": "{}"}}', '{{\\"api_key\\": \\"{}\\"}}',
        "{{'X-Api-Key': '{}'}}", "(b'X-Api-Key', b'{}')", "('Authorization', 'Bearer {}')",
        "CLINVK_API_KEYS={}", "OPENAI_API_KEY={}", '"ANTHROPIC_API_KEY": "{}"',
        "ANTHROPIC_AUTH_TOKEN={}", "password={}", "a bearer {} b",
    ],
)  # fmt: skip
def test_what_stands_behind_its_name_is_taken_out(text: str) -> None:
    told = redact(text.format(SECRET))
    assert SECRET not in told
    assert REDACTED in told
    assert redact(told) == told


@pytest.mark.parametrize("secret", KNOWN)
def test_what_is_known_by_its_looks_is_taken_out(secret: str) -> None:
    assert redact(f"a {secret}, b") == f"a {REDACTED}, b"


@pytest.mark.parametrize(
    "text",
    [
        "API keys not reloaded, the old ones stay", '{"input_tokens": 5}', "max_tokens=5",
        "server.api_keys_gopass_path: reading 'a/b' took more than 10 s", "the basic idea",
        "CLINVK_API_KEYS: is set, but holds no key", "task-runner sk-1", "key-1a2b3c4d",
        '{"sources": {"CLINVK_API_KEYS": 2}, "event": "keys read"}',
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_record_and_no_trace_carries_a_secret(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    before = structlog.get_config()
    handlers, level = logging.root.handlers[:], logging.root.level
    logging.root.handlers = []
    try:
        log.set_up(LogSettings.model_validate({"format": form}))
        own, library = structlog.get_logger("test"), logging.getLogger("library")
        own.info("asked", headers={"Authorization": f"Bearer {SECRET}"}, key=KNOWN[0])
        library.warning("sent %s", f"X-Api-Key: {SECRET}")
        local = f"local {SECRET}"  # the trace must not show the values of variables
        try:
            raise RuntimeError(f"api_key={SECRET} {len(local)}")
        except RuntimeError:
            own.exception("failed")
            library.exception("failed")
    finally:
        structlog.configure(**before)
        logging.root.handlers, logging.root.level = handlers, level
    text = written.getvalue()
    assert SECRET not in text
    assert KNOWN[0] not in text
    assert text.count("RuntimeError") >= 2
    assert text.count(REDACTED) >= 5
    if form == "json":
        lines = [line for line in text.splitlines() if line.startswith("{")]
        assert [json.loads(line)["event"] for line in lines] == ["asked", "failed"]
