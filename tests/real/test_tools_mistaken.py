"""Models that call what there is not, or wrongly, and callers whose tools share a name."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from ..providers import RecordedRequest, Reply, ToolCall
from .tools_stage import CLIS, MODELS, SHOWN, Running, scene

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

TOLD = "I was told better."


def says(cli: str, request: RecordedRequest) -> Reply:
    """The call that the prompt holds as JSON; with any result for it, an end."""
    said = request.conversation.utterances
    if any(utterance.role == "tool" for utterance in said):
        return Reply(text=TOLD)
    name, arguments = json.loads(next(u.text for u in said if u.role == "user"))
    return Reply(tools=(ToolCall(SHOWN[cli].format(name), arguments),))


def tool(properties: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    function = {"name": "look", "description": "Looks.", "parameters": schema}
    return {"type": "function", "function": function}


async def ask(
    running: Running, cli: str, call: tuple[str, Any], properties: dict[str, Any]
) -> tuple[int, Any]:
    """Have the model behind `cli` make a call; status and what the caller was answered."""
    body = {
        "model": f"{cli}/{MODELS[cli]}",
        "messages": [{"role": "user", "content": json.dumps(call)}],
        "tools": [tool(properties)],
    }
    url = f"{running.daemon.url}/openai/v1/chat/completions"
    async with running.http.post(url, json=body) as response:
        return response.status, await response.json()


def message(answered: Any) -> Any:
    return answered["choices"][0]["message"]


async def test_what_is_called_wrongly_and_by_the_same_name(tmp_path: Path) -> None:
    async with scene(tmp_path, says, agents=5) as stage, stage.serving() as running:

        async def all_of(call: tuple[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
            answers = await asyncio.gather(*(ask(running, cli, call, properties) for cli in CLIS))
            return dict(zip(CLIS, answers, strict=True))

        city, street = {"city": {"type": "string"}}, {"street": {"type": "integer"}}
        in_city, in_street, unknown, unfit = await asyncio.gather(
            all_of(("look", {"city": "A"}), city),
            all_of(("look", {"street": 5}), street),
            all_of(("no_such_tool", {"city": "B"}), city),
            all_of(("look", {"town": "C"}), city),
        )
        for cli in CLIS:
            for answers, given in ((in_city, {"city": "A"}), (in_street, {"street": 5})):
                (call,) = message(answers[cli][1])["tool_calls"]
                assert json.loads(call["function"]["arguments"]) == given
            # The agent itself tells its model that there is no such tool.
            assert message(unknown[cli][1])["content"] == TOLD
            assert "tool_calls" not in message(unknown[cli][1])
        # Arguments that do not fit the schema are the caller's to judge, as at the vendors; only
        # gemini judges them itself.
        for cli in ("claude", "codex"):
            (call,) = message(unfit[cli][1])["tool_calls"]
            assert json.loads(call["function"]["arguments"]) == {"town": "C"}
        assert message(unfit["gemini"][1])["content"] == TOLD

        for cli, status in (("claude", 500), ("codex", 200)):
            got, answered = await ask(running, cli, ("look", "{not JSON"), city)
            assert got == status
            if cli == "claude":
                assert "what is no JSON object" in answered["error"]["message"]
            else:
                assert message(answered)["content"] == TOLD

        for cli, provider in stage.providers.items():
            for request in provider.turns:
                body = json.dumps(request.body)
                # Each conversation shows its own schema and no other.
                assert ('"street"' in body) is ('[\\"look\\", {\\"street\\"' in body), cli
