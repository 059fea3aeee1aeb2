"""`POST /api/v1/prompt` answered with one JSON object."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from .service import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXTS = [
    "plain words",
    "  blanks around \n",
    "emoji 👩‍👩‍👧‍👦 and 🇪🇺, 漢字, e\u0301",
    "line\u2028and\u2029separators\x85",
    "carriage\r\nreturn\rand\nfeed",
    "data: x\n\ndata: y",
    'quotes " and \\ and </script>',
    "\x01\x1b[31mcontrol\x7f",
    "-rf", "--help", "/clear", "/help me", "@file.txt", "!ls", "#memory", "$HOME `id`", "\ufeffbom",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
async def test_text_reaches_the_agent_and_comes_back_unharmed(service: Service, text: str) -> None:
    assert await service.text(text) == text


async def test_members_of_the_answer(service: Service) -> None:
    answer = await service.post(prompt="two words")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json
    assert len(body.pop("session_id")) == 32
    assert body.pop("duration_ms") >= 0
    assert body.pop("agent_session_id").startswith("echo-")
    assert body == {
        "backend": "echo",
        "exit_code": 0,
        "output": "two words",
        "stop_reason": "end_turn",
        "token_usage": {"input_tokens": 2, "output_tokens": 2},
    }


async def test_the_default_backend_answers_when_none_is_named(service: Service) -> None:
    answer = await service.post(body={"prompt": "hello"})
    assert (answer.status, answer.json["backend"]) == (200, "echo")
    answer = await service.post(body={"prompt": "hello", "backend": None})
    assert (answer.status, answer.json["backend"]) == (200, "echo")


async def test_every_field_is_taken(service: Service, tmp_path: Path) -> None:
    answer = await service.post(
        prompt="[[cwd]]",
        messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        model="echo",
        workdir=str(tmp_path),
        approval_mode="auto",
        sandbox_mode="workspace",
        output_format="json",
        max_tokens=100,
        max_turns=3,
        system_prompt="Be brief.",
        verbose=True,
        dry_run=False,
        ephemeral=False,
        extra=[],
        metadata={"k": "v"},
    )
    assert answer.status == 200, answer.text
    assert answer.json["output"] == str(tmp_path)
    kept = await service.kept(answer.json["session_id"])
    assert kept.metadata == {"k": "v"}
    assert answer.json["model"] == "echo"


async def test_empty_values_mean_not_given(service: Service) -> None:
    answer = await service.post(
        prompt="hi", model="", workdir="", approval_mode="", sandbox_mode="", output_format="",
        max_tokens=0, max_turns=0, system_prompt="", extra=[], metadata={}, messages=[],
    )  # fmt: skip
    assert (answer.status, answer.json["output"]) == (200, "hi")
    assert "X-Clinvk-Ignored" not in answer.headers


async def test_model_system_prompt_and_options_reach_the_agent(service: Service) -> None:
    assert await service.text("[[model]]", model="echo") == "echo"
    told = json.loads(await service.text("[[history]]", system_prompt="You are a pirate."))
    assert told == {"system": "You are a pirate.", "history": []}
    assert json.loads(await service.text("[[options]]", max_tokens=7)) == {"max_tokens": 7}


async def test_max_tokens_is_told_as_stop_reason(service: Service) -> None:
    body = (await service.post(prompt="one two three", max_tokens=2)).json
    assert (body["output"], body["stop_reason"]) == ("one two ", "max_tokens")


async def test_earlier_messages_keep_their_roles(service: Service) -> None:
    messages = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": [{"type": "text", "text": "answer"}]},
    ]
    told = json.loads(await service.text("[[history]]", messages=messages))
    assert [entry["role"] for entry in told["history"]] == ["user", "assistant"]
    assert [entry["content"][0]["text"] for entry in told["history"]] == ["first", "answer"]


async def test_images_reach_the_agent(service: Service) -> None:
    data = bytes(range(256)) * 10
    image = {"type": "image", "media_type": "image/png", "data": b64encode(data).decode()}
    answer = await service.post(prompt=[{"type": "text", "text": "[[image]]"}, image])
    told = json.loads(answer.json["output"])
    digest = hashlib.sha256(data).hexdigest()
    assert told == [{"mediaType": "image/png", "bytes": len(data), "sha256": digest}]


async def test_images_in_earlier_messages_reach_the_agent(service: Service) -> None:
    image = {"type": "image", "media_type": "image/png", "data": "aGVsbG8="}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "see"}, image]},
        {"role": "assistant", "content": "nice"},
    ]
    told = json.loads(await service.text("[[history]]", messages=messages))
    assert told["history"][0]["content"][1]["data"] == "aGVsbG8="


async def test_ten_megabytes_pass(service: Service) -> None:
    text = "0123456 89" * 1_000_000
    answer = await service.post(prompt=text)
    assert answer.status == 200
    assert answer.json["output"] == text


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({"max_turns": 3}, "max_turns"),
        ({"max_turns": 3, "verbose": True}, "max_turns, verbose"),
        ({"verbose": True, "dry_run": True}, "verbose"),
        ({"model": "echo", "approval_mode": "default"}, None),
    ],
)
async def test_what_cannot_be_honoured_is_named(
    service: Service, fields: dict[str, Any], ignored: str | None
) -> None:
    answer = await service.post(prompt="hi", **fields)
    assert answer.status == 200
    assert answer.headers.get("X-Clinvk-Ignored") == ignored


async def test_backends_are_listed(service: Service) -> None:
    async with service.client.get("/api/v1/backends") as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        body = await response.json()
    assert [backend["name"] for backend in body["backends"]] == [
        "claude", "codex", "gemini", "local", "echo",
    ]  # fmt: skip
    claude, echo = body["backends"][0], body["backends"][-1]
    assert claude["available"] is False
    assert "'claude' was not found (looked in " in claude["reason"]
    assert echo["available"] is True
    assert "reason" not in echo
    assert echo["version"]
