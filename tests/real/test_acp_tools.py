"""The caller's tools through the real gemini, opencode and qwen before fake providers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from clinvkd.api.native.rehearsal import rehearse
from clinvkd.errors import BackendRefused
from clinvkd.events import Completed, Event, Progress, Request, TextDelta, ToolCall
from clinvkd.pool import Way
from clinvkd.prompt import (
    Block,
    Image,
    Message,
    Permissions,
    Prompt,
    Sampling,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
)

from .acp_stage import Stage, stage

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

NAMES = ["gemini", "opencode", "qwen"]
EACH = pytest.mark.parametrize("name", NAMES)
PREFIXES = {"gemini": "mcp_clinvk_", "opencode": "clinvk_", "qwen": "mcp__clinvk__"}
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9aw"
    "AAAABJRU5ErkJggg=="
)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("get_weather", "Weather of a city.", CITY)
LONG = Tool("a-" + "long_" * 20 + "name", "A long name.", {"type": "object", "properties": {}})


def calls(name: str, *wanted: tuple[str, Any], **members: Any) -> dict[str, Any]:
    """A reply of the provider that calls tools by the names the agent gives them."""
    prefix = PREFIXES[name]
    made = [{"name": prefix + tool, "arguments": arguments} for tool, arguments in wanted]
    return {"tools": made, **members}


def told(reply: dict[str, Any]) -> str:
    return f"%%{json.dumps(reply)}%%"


@dataclass
class Dialogue:
    """A caller that answers calls."""

    on: Stage
    tools: tuple[Tool, ...] = (WEATHER,)
    wanted: dict[str, Any] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    ways: list[Way] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    async def say(self, *content: Block) -> list[Request]:
        """Run the next turn; the calls it ends with."""
        self.messages.append(Message("user", content))
        base = self.on.asked("")
        asked = replace(base, messages=tuple(self.messages), tools=self.tools, **self.wanted)
        self.events = []
        async with self.on.pool.turn(asked, 60) as turn:
            async for batch in turn:
                self.events += batch
        self.ways.append(turn.way)
        self.messages.append(turn.reply)
        wanted = [event for event in self.events if isinstance(event, Request)]
        ended = self.events[-1]
        assert isinstance(ended, Completed)
        assert ended.stop_reason == ("tool_use" if wanted else "end_turn")
        return wanted

    async def to_the_end(self, calls: list[Request], words: str) -> list[str]:
        """Answer all calls with `words` and their city; the cities asked for."""
        cities = []
        while calls:
            cities += [call.input["city"] for call in calls]
            results = [
                ToolResult(call.id, (Text(f"{words} {call.input['city']}"),)) for call in calls
            ]
            calls = await self.say(*results)
        return cities

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))


def offered(on: Stage) -> dict[str, Any]:
    """Schemas of the tools the provider was offered last, by the agent's names."""
    body = on.provider.turns[-1].body
    if on.name == "gemini":
        declared = [one for tool in body["tools"] for one in tool.get("functionDeclarations", ())]
        return {one["name"]: one["parametersJsonSchema"] for one in declared}
    return {
        one["function"]["name"]: one["function"].get("parameters") for one in body.get("tools", ())
    }


def exchanged(on: Stage) -> list[tuple[str, Any]]:
    """Calls and results of the last request, in order: names with arguments, and texts."""
    found: list[tuple[str, Any]] = []
    body = on.provider.turns[-1].body
    for message in body.get("contents") or body["messages"]:
        for call in message.get("tool_calls") or ():
            function = call["function"]
            found.append((function["name"], json.loads(function["arguments"])))
        if message["role"] == "tool":
            found.append(("result", _text(message["content"])))
        for part in message.get("parts", ()):
            match part:
                case {"functionCall": {"name": name, "args": arguments}}:
                    found.append((name, arguments))
                case {"functionResponse": {"response": response}}:
                    found.append(("result", str(next(iter(response.values())))))
    return found


def _text(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


@EACH
async def test_a_call_with_text_before_it(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        one = Dialogue(on)
        reply = calls(
            name, ("get_weather", {"city": "Oslo"}), text="Let me see. ", then={"text": "Wet."}
        )
        (call,) = await one.say(Text(told(reply)))
        assert (one.text, call.name, call.input) == (
            "Let me see. ",
            "get_weather",
            {"city": "Oslo"},
        )
        assert not [event for event in one.events if isinstance(event, ToolCall)]
        (schema,) = (schema for tool, schema in offered(on).items() if "get_weather" in tool)
        assert schema["properties"]["city"] == CITY["properties"]["city"]  # type: ignore[index]
        assert schema["required"] == ["city"]
        assert list(offered(on)) == [PREFIXES[name] + "get_weather"]
        # No timer: the conversation waits as long as the caller takes.
        await asyncio.sleep(1)
        assert await one.say(ToolResult(call.id, (Text("rain"),))) == []
        assert one.text == "Wet."
        assert one.ways[-1] is Way.CONTINUE
        (called, result) = exchanged(on)
        assert called == (PREFIXES[name] + "get_weather", {"city": "Oslo"})
        assert "rain" in result[1]


@EACH
async def test_two_calls_of_one_answer_and_three_rounds(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        one = Dialogue(on)
        # The provider tells rounds apart by what is said between them.
        third = calls(name, ("get_weather", {"city": "D"}), text="Last. ", then={"text": "Done."})
        second = calls(name, ("get_weather", {"city": "C"}), text="More. ", then=third)
        first = calls(name, ("get_weather", {"city": "A"}), ("get_weather", {"city": "B"}))
        begun = await one.say(Text(told({**first, "then": second})))
        assert len(begun) == 1 or name == "opencode"
        assert await one.to_the_end(begun, "rain in") == ["A", "B", "C", "D"]
        assert one.text == "Done."
        assert set(one.ways[1:]) == {Way.CONTINUE}
        results = [text for kind, text in exchanged(on) if kind == "result"]
        for city, text in zip("ABCD", results, strict=True):
            assert f"rain in {city}" in text


@EACH
async def test_results_are_any_text_images_and_errors(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        one = Dialogue(on)
        reply: dict[str, Any] = {"text": "Done."}
        for _ in range(4):
            reply = calls(name, ("get_weather", {"city": "X"}), text="Hm. ", then=reply)
        (call,) = await one.say(Text(told(reply)))
        (call,) = await one.say(ToolResult(call.id, (Text("42"),)))
        (call,) = await one.say(ToolResult(call.id, (Text('{"degrees": 3}'),)))
        (call,) = await one.say(ToolResult(call.id, (Text("no such city"),), is_error=True))
        picture = (Text("a picture"), Image("image/png", PIXEL))
        assert await one.say(ToolResult(call.id, picture)) == []
        # opencode gives images as another user message, in which the provider finds no directive.
        assert one.text == "Done." or name == "opencode"
        texts = [text for kind, text in exchanged(on) if kind == "result"]
        for text, words in zip(
            texts, ("42", '{"degrees": 3}', "no such city", "a picture"), strict=True
        ):
            assert words in text
        # The others' model here is one that sees no images.
        assert (PIXEL in json.dumps(on.provider.turns[-1].body)) is (name == "gemini")


@EACH
async def test_a_bad_call_is_the_agents_own_affair(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        good = calls(name, ("get_weather", {"city": "Oslo"}), text="So. ", then={"text": "Done."})
        one = Dialogue(on)
        begun = await one.say(Text(told(calls(name, ("no_such_tool", {"a": 1}), then=good))))
        assert await one.to_the_end(begun, "rain in") == ["Oslo"]
        assert one.text == "Done."


@EACH
async def test_the_same_name_with_other_schemas_at_once(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        street = {"type": "object", "properties": {"street": {"type": "integer"}}}
        one = Dialogue(on)
        two = Dialogue(on, tools=(replace(WEATHER, schema=street),))
        ((first,), (second,)) = await asyncio.gather(
            one.say(Text(told(calls(name, ("get_weather", {"city": "A"}))) + " marker=A")),
            two.say(Text(told(calls(name, ("get_weather", {"street": 5}))) + " marker=B")),
        )
        assert (first.input, second.input) == ({"city": "A"}, {"street": 5})
        assert await two.say(ToolResult(second.id, (Text("for two"),))) == []
        assert ["for two" in text for kind, text in exchanged(on) if kind == "result"] == [True]
        assert await one.say(ToolResult(first.id, (Text("for one"),))) == []
        assert ["for one" in text for kind, text in exchanged(on) if kind == "result"] == [True]
        (schema,) = offered(on).values()
        assert set(schema["properties"]) - {"wait_for_previous"} == {"city"}


@EACH
async def test_an_agent_killed_while_it_waits_is_seeded_with_the_exchange(
    name: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as on:
        one = Dialogue(on)
        (call,) = await one.say(Text(told(calls(name, ("get_weather", {"city": "Oslo"})))))
        (pid,) = on.pids
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await _gone(on, pid)
        one.messages[0] = Message("user", (Text("how is it?"),))  # the directive would call again
        assert await one.say(ToolResult(call.id, (Text("rain"),))) == []
        assert one.ways[-1] in (Way.SEED, Way.START)
        assert one.text
        if name == "gemini":
            (called, result) = exchanged(on)
            assert called == ("mcp_clinvk_get_weather", {"city": "Oslo"})
            assert result == ("result", "rain")
        else:
            assert ">rain</tool_result>" in on.provider.turns[-1].last_user_text
        assert list(offered(on)) == [PREFIXES[name] + "get_weather"]


async def _gone(on: Stage, pid: int) -> None:
    async with asyncio.timeout(20):
        while pid in on.pids:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)


@EACH
async def test_names_that_are_too_long_are_mapped_both_ways(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        one = Dialogue(on, tools=(LONG, WEATHER))
        await one.say(Text("hello"))
        (shown,) = (shown for shown in offered(on) if "a-long_" in shown)
        assert len(shown) < 64
        (call,) = await one.say(Text(told({"tools": [{"name": shown, "arguments": {}}]})))
        assert call.name == LONG.name


@EACH
async def test_tools_that_must_not_be_called_are_not_offered(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        one = Dialogue(on, wanted={"tool_choice": ToolChoice("none")})
        assert await one.say(Text("hello")) == []
        body = on.provider.turns[-1].body
        assert "get_weather" not in json.dumps(body.get("tools") or [])


@EACH
async def test_a_caller_that_says_more_than_results_is_heard(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        one = Dialogue(on)
        (call,) = await one.say(Text(told(calls(name, ("get_weather", {"city": "Oslo"})))))
        if name != "gemini":
            one.messages[0] = Message("user", (Text("how is it?"),))  # it would call again
        one_result = ToolResult(call.id, (Text("rain"),))
        assert await one.say(one_result, Text("and tomorrow?")) == []
        assert one.ways[-1] is Way.SEED
        body = json.dumps(on.provider.turns[-1].body)
        assert "rain" in body
        assert on.provider.turns[-1].last_user_text.endswith("and tomorrow?")


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        (ToolChoice("required"), ["mcp_clinvk_get_weather", "mcp_clinvk_add"]),
        (ToolChoice("named", "add"), ["mcp_clinvk_add"]),
    ],
)
async def test_gemini_can_be_made_to_call(
    choice: ToolChoice, names: list[str], tmp_path: Path
) -> None:
    async with stage("gemini", tmp_path) as on:
        add = Tool("add", "Sum.", {"type": "object", "properties": {}})
        sampling = Sampling(temperature=0.25)
        wanted = {"tool_choice": choice, "sampling": sampling}
        one = Dialogue(on, tools=(WEATHER, add), wanted=wanted)
        (call,) = await one.say(Text(told(calls("gemini", ("add", {})))))
        assert call.name == "add"
        body = on.provider.turns[-1].body
        assert body["generationConfig"]["temperature"] == 0.25
        assert body["toolConfig"]["functionCallingConfig"] == {
            "mode": "ANY",
            "allowedFunctionNames": names,
        }


@pytest.mark.parametrize(("name", "trusted"), [("gemini", True), ("qwen", True), ("qwen", False)])
async def test_the_callers_tools_beside_the_agents_own_in_a_workdir(
    name: str, trusted: bool, tmp_path: Path
) -> None:
    workdir = tmp_path / "project"
    workdir.mkdir()
    async with stage(name, tmp_path) as on:
        permissions = Permissions(tools=True, trusted=trusted)
        one = Dialogue(on, wanted={"workdir": workdir, "permissions": permissions})
        begun = await one.say(Text(told(calls(name, ("get_weather", {"city": "Oslo"})))))
        assert await one.to_the_end(begun, "rain in") == ["Oslo"]
        assert len(offered(on)) > 1


async def test_gemini_takes_no_tools_of_the_caller_where_nobody_trusts(tmp_path: Path) -> None:
    async with stage("gemini", tmp_path) as on:
        one = Dialogue(on, wanted={"workdir": tmp_path, "permissions": Permissions(tools=True)})
        with pytest.raises(BackendRefused, match="not trusted") as caught:
            await one.say(Text("hello"))
        assert caught.value.param == "tools"


async def test_opencode_would_show_tools_to_everybody_in_a_workdir(tmp_path: Path) -> None:
    async with stage("opencode", tmp_path) as on:
        permissions = Permissions(tools=True)
        one = Dialogue(on, wanted={"workdir": tmp_path, "permissions": permissions})
        with pytest.raises(BackendRefused, match="everybody who works there") as caught:
            await one.say(Text("hello"))
        assert caught.value.param == "tools"
        beside = Dialogue(on, wanted={"permissions": permissions})
        (call,) = await beside.say(Text(told(calls("opencode", ("get_weather", {"city": "A"})))))
        assert await beside.to_the_end([call], "rain in") == ["A"]
        assert len(offered(on)) > 1


@EACH
async def test_a_conversation_given_up_while_it_waits_leaves_nothing(
    name: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path, parked=1) as on:
        one, two = Dialogue(on), Dialogue(on)
        asked = Text(told(calls(name, ("get_weather", {"city": "Oslo"}))))
        await one.say(asked)
        await two.say(asked, Text("another"))  # the first is not parked any more
        assert on.pool.figures().parked == 1
        (agent,) = on.pool.crew
        assert len(agent.conversations) == 1
        assert len(list(_waiting(on))) == 1


def _waiting(on: Stage) -> Iterable[str]:
    """Offers of the tool server that are open."""
    (agent,) = on.pool.crew
    yield from (offer.place["url"] for offer in agent.house.tools._offers.values())


async def test_gemini_prompts_may_be_rehearsed(tmp_path: Path) -> None:
    async with stage("gemini", tmp_path) as on:
        prompt: Prompt = replace(on.asked("x"), tools=(WEATHER,))
        lines: list[Any] = rehearse(on.pool, prompt).lines
        _, opened = [line["params"] for line in lines if line["method"] == "session/new"]
        # Its folder holds the settings that name the tool server.
        assert Path(opened["cwd"]).parent == Path("/a-private-folder/chats")
        assert opened["mcpServers"] == []


@pytest.mark.parametrize("approval", ["default", "auto", "none"])
async def test_opencode_works_in_a_workdir_as_far_as_it_is_permitted(
    approval: Any, tmp_path: Path
) -> None:
    workdir, elsewhere = tmp_path / "project", tmp_path / "secret.txt"
    workdir.mkdir()
    (workdir / "a.txt").write_text("inside")
    elsewhere.write_text("outside")
    made = [
        {"name": "read", "arguments": {"filePath": str(workdir / "a.txt")}},
        {"name": "read", "arguments": {"filePath": str(elsewhere)}},
        {"name": "write", "arguments": {"filePath": str(workdir / "new.txt"), "content": "x"}},
        {"name": "bash", "arguments": {"command": "touch ran.txt", "description": "touch"}},
    ]
    async with stage("opencode", tmp_path) as on:
        permissions = Permissions(tools=True, approval=approval)
        refused = []
        for call in made:
            # One at a time: what is refused ends what was called beside it.
            events = await on.ask(told({"tools": [call]}), workdir=workdir, permissions=permissions)
            refused.append(any(isinstance(event, Progress) for event in events))
        assert (
            refused
            == {
                "default": [False, True, True, True],
                "auto": [False, True, False, True],
                "none": [False, False, False, False],
            }[approval]
        )
        done = {path.name for path in workdir.iterdir()}
        assert ("new.txt" in done, "ran.txt" in done) == (not refused[2], not refused[3])


async def test_qwen_leaves_the_configuration_of_an_untrusted_workdir_alone(tmp_path: Path) -> None:
    workdir = tmp_path / "project"
    (workdir / ".qwen").mkdir(parents=True)
    settings = {"tools": {"exclude": ["run_shell_command"]}}
    (workdir / ".qwen" / "settings.json").write_text(json.dumps(settings))
    async with stage("qwen", tmp_path) as on:
        for trusted in (False, True):
            permissions = Permissions(tools=True, trusted=trusted)
            await on.ask("hello", workdir=workdir, permissions=permissions)
            assert ("run_shell_command" in offered(on)) is not trusted


@pytest.mark.parametrize("sandbox", ["read-only", "workspace"])
async def test_qwen_asks_within_a_sandbox_whatever_the_approval(
    sandbox: Any, tmp_path: Path
) -> None:
    workdir = tmp_path / "project"
    workdir.mkdir()
    outside = tmp_path / "outside.txt"
    write = {"name": "write_file", "arguments": {"file_path": str(outside), "content": "x"}}
    async with stage("qwen", tmp_path) as on:
        permissions = Permissions(tools=True, approval="none", sandbox=sandbox)
        await on.ask(told({"tools": [write]}), workdir=workdir, permissions=permissions)
        assert not outside.exists()
