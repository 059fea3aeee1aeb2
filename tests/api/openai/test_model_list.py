"""The list of models, and which backend a name reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clinvkd.config import Settings

from .talk import CHAT, ECHO, OpenAI, error_of, serving, user

SECTIONS: dict[str, Any] = {
    "backends": {
        "claude": {"models": ["claude-opus-4-5", "claude-haiku-4-5"]},
        "codex": {"enabled": False},
        "second": {
            "driver": "acp",
            "command": ECHO,
            "quirks": {"any_model": True},
            "model": "standard",
            "models": ["small", "standard", "large/beta"],
        },
    },
    "models": {
        "aliases": {
            "fast": "second/small",
            "smart": "claude/claude-opus-4-5",
            "gpt-4o": "second",
            "lost": "nowhere",
        },
    },
}


async def ids(openai: OpenAI, path: str = "/models") -> list[str]:
    listed = await openai.get(path)
    assert listed["object"] == "list"
    for model in listed["data"]:
        assert set(model) == {"id", "object", "created", "owned_by"}
        assert (model["object"], model["owned_by"]) == ("model", "clinvoker")
        assert isinstance(model["created"], int)
    return [model["id"] for model in listed["data"]]


async def asked(openai: OpenAI, model: str) -> tuple[str, str | None]:
    """The agent's name of the model that answered, and what was ignored."""
    answer = await openai.post(CHAT, model=model, messages=[user("[[model]]")])
    assert answer.status == 200, answer.text
    assert answer.json["model"] == model
    (choice,) = answer.json["choices"]
    return choice["message"]["content"], answer.headers.get("X-Clinvk-Ignored")


async def test_the_list(tmp_path: Path) -> None:
    async with serving(tmp_path, **SECTIONS) as openai:
        available = await ids(openai)
        second = ["second", "second/standard", "second/small", "second/large/beta"]
        assert [name for name in available if name not in ("local", "echo")] == [
            *second, "fast", "gpt-4o",
        ]  # fmt: skip
        everything = await ids(openai, "/models?include=unavailable")
        claude = ["claude", "claude/claude-opus-4-5", "claude/claude-haiku-4-5"]
        assert set(everything) >= {*available, *claude, "gemini", "smart"}
        assert not {"codex", "lost"} & set(everything)
        assert [name for name in everything if name in available] == available
        assert await openai.get("/models") == await openai.get("/models")


async def test_one_model(tmp_path: Path) -> None:
    async with serving(tmp_path, **SECTIONS) as openai:
        listed = (await openai.get("/models?include=unavailable"))["data"]
        for model in listed:
            assert await openai.get(f"/models/{model['id']}") == model
        assert (await openai.get("/models/second%2Flarge%2Fbeta"))["id"] == "second/large/beta"
        for name in ("nobody", "second/", "codex", "second/unheard-of"):
            answer = await openai.request("GET", f"/models/{name}")
            error = error_of(answer)
            assert (answer.status, error["type"], error["code"], error["param"]) == (
                404, "invalid_request_error", "model_not_found", "model",
            )  # fmt: skip


async def test_which_backend_a_name_reaches(tmp_path: Path) -> None:
    async with serving(tmp_path, **SECTIONS) as openai:
        assert await asked(openai, "second") == ("standard", None)
        assert await asked(openai, "second/large/beta") == ("large/beta", None)
        assert await asked(openai, "second/unheard-of") == ("unheard-of", None)
        assert await asked(openai, "fast") == ("small", None)
        assert await asked(openai, "gpt-4o") == ("standard", None)
        assert await asked(openai, "echo") == ("echo", None)
        assert await asked(openai, "no-such-thing") == ("echo", "model")
        assert await asked(openai, "lost") == ("echo", "model")
        assert await asked(openai, "gpt-5") == ("echo", "model")  # codex is not enabled
        for name in ("claude-opus-4-5", "smart", "claude", "gemini-2.5-pro"):
            answer = await openai.post(CHAT, model=name, messages=[user("x")])
            assert (answer.status, error_of(answer)["code"]) == (503, "backend_unavailable")


@pytest.mark.parametrize("path", [CHAT, "/completions", "/responses"])
async def test_strictness(tmp_path: Path, path: str) -> None:
    models = {**SECTIONS["models"], "strict_models": True}
    async with serving(tmp_path, **{**SECTIONS, "models": models}) as openai:
        body = {"messages": [user("x")], "prompt": "x", "input": "x"}
        for name in ("no-such-thing", "lost", "codex", "gpt-5"):
            answer = await openai.post(path, model=name, **body)
            error = error_of(answer)
            assert (answer.status, error["type"], error["code"], error["param"]) == (
                404, "invalid_request_error", "model_not_found", "model",
            )  # fmt: skip
        assert (await openai.post(path, model="fast", **body)).status == 200
        assert "fast" in await ids(openai)


async def test_a_new_configuration_is_a_new_list(tmp_path: Path) -> None:
    async with serving(tmp_path) as openai:
        sections = {"default_backend": "echo", "models": {"aliases": {"mine": "echo"}}}
        await openai.service.engine.reload(Settings.model_validate(sections))
        assert "mine" in await ids(openai)


@pytest.mark.asyncio(loop_scope="session")
async def test_a_model_that_the_agent_does_not_have(openai: OpenAI) -> None:
    for path in (CHAT, "/completions", "/responses"):
        for streamed in (False, True):
            answer = await openai.post(
                path,
                model="picky/unheard-of",
                messages=[user("x")],
                prompt="x",
                input="x",
                stream=streamed,
            )
            error = error_of(answer)
            assert (answer.status, error["type"], error["code"], error["param"]) == (
                404, "invalid_request_error", "model_not_found", "model",
            )  # fmt: skip
            assert "unheard-of" in error["message"]
