"""The codex driver in the pool with the real CLI: conversations."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from clinvkd.events import (
    Completed,
    Opened,
    TextDelta,
    ThinkingDelta,
    ToolOutput,
    Usage,
)
from clinvkd.pool import Way
from clinvkd.prompt import (
    Image,
    Message,
    OutputSchema,
    Permissions,
    Prompt,
    Sampling,
    Text,
    ToolResult,
    ToolUse,
)

from ..pools import ask, text_of
from ..providers import DEFAULT_TEXT
from .codex_stage import MODEL, Stage, asked, directed, staged

pytestmark = pytest.mark.real

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as stage:
        yield stage


async def test_plain(stage: Stage) -> None:
    events = await stage.ask("hello", system="Be brief.")
    assert isinstance(events[0], Opened)
    assert events[0].model == MODEL
    assert text_of(events) == DEFAULT_TEXT
    assert len([event for event in events if isinstance(event, TextDelta)]) == 4
    usage = Usage(input_tokens=31, cached_tokens=7, output_tokens=13, reasoning_tokens=3)
    assert events[-1] == Completed(usage=usage)
    (request,) = stage.provider.turns
    assert request.headers["Authorization"] == "Bearer fake-key"
    assert request.conversation.system == "Be brief."
    assert [(said.role, said.text) for said in request.conversation.utterances] == [
        ("user", "hello")
    ]


async def test_each_piece_comes_when_the_model_says_it(stage: Stage) -> None:
    text = ""
    async with stage.pool.turn(asked(directed(text="one two", chunks=2, hold_after=1)), 30) as turn:
        async for batch in turn:
            if text == "" and text_of(batch):
                assert stage.provider.active == 1
                stage.provider.release()
            text += text_of(batch)
    assert text == "one two"


async def test_seeded_history_keeps_roles_images_and_calls(stage: Stage) -> None:
    image = Image("image/png", PIXEL)
    history = (
        Message("user", (Text("What is this?"), image)),
        Message("assistant", (Text("Let me see."), ToolUse("call_1", "look", {"at": "it"}))),
        Message("user", (ToolResult("call_1", (Text("a dot"),)),)),
        Message("assistant", (Text("A dot."),)),
        Message("user", (Text("And this?"), image)),
    )
    events = await ask(stage.pool, Prompt(backend="codex", messages=history, model=MODEL))
    assert text_of(events) == DEFAULT_TEXT
    url = f"data:image/png;base64,{PIXEL}"
    items = stage.provider.turns[0].body["input"]
    assert [
        {key: value for key, value in item.items() if key not in ("id", "status")}
        for item in items
        if item.get("role") != "developer"
    ] == [
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": url},
            ],
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Let me see."}],
        },
        {
            "type": "function_call",
            "name": "look",
            "arguments": '{"at":"it"}',
            "call_id": "call_1",
        },
        {"type": "function_call_output", "call_id": "call_1", "output": "a dot"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "A dot."}],
        },
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "And this?"},
                {"type": "input_image", "image_url": url},
            ],
        },
    ]


@pytest.mark.parametrize("tools", [False, True])
async def test_continued_conversation(stage: Stage, tools: bool) -> None:
    permissions = Permissions(tools=tools, sandbox="read-only")
    first = asked("one", permissions=permissions)
    answer = text_of(await ask(stage.pool, first))
    second = asked("two", ("user", "one"), ("assistant", answer), permissions=permissions)
    async with stage.pool.turn(second, 30) as turn:
        events = [event async for batch in turn for event in batch]
        assert turn.way is Way.CONTINUE
    # The usage is that of the second turn alone.
    assert events[-1] == Completed(
        usage=Usage(input_tokens=31, cached_tokens=7, output_tokens=13, reasoning_tokens=3)
    )
    said = [(each.role, each.text) for each in stage.provider.turns[1].conversation.utterances]
    assert said == [("user", "one"), ("assistant", DEFAULT_TEXT), ("user", "two")]


async def test_chat_takes_its_prompt_literally_and_nothing_from_the_home(tmp_path: Path) -> None:
    started, notified = tmp_path / "started", tmp_path / "notified"

    def edit(home: Path, url: str) -> None:
        settings = home / "config.toml"
        settings.write_text(
            'developer_instructions = "SETTING"\n'
            f"notify = ['touch', '{notified}']\n"
            f"{settings.read_text()}\n"
            f"[mcp_servers.spy]\ncommand = 'touch'\nargs = ['{started}']\n"
        )
        skill = home / "skills" / "dance" / "SKILL.md"
        skill.parent.mkdir(parents=True)
        skill.write_text("---\nname: dance\ndescription: dances\n---\nSECRET STEPS\n")

    async with staged(tmp_path, edit) as stage:
        text = "/help $dance @file -x"
        await stage.ask(text)
        body = stage.provider.turns[0].body
        assert [item["content"][0]["text"] for item in body["input"]] == [text]
        assert body.get("tools", []) == []
        assert not (stage.home / "sessions").exists()
    assert not started.exists()
    assert not notified.exists()


async def test_options_hold_for_their_conversation_only(stage: Stage) -> None:
    options = (("effort", "high"), ("summary", "detailed"))
    first = directed(thinking="Hm.", text="Yes.")
    events = await stage.ask(first, options=options)
    assert ThinkingDelta("Hm.") in events
    history = (("user", first), ("assistant", text_of(events)))
    async with stage.pool.turn(asked("again", *history, options=options), 30) as turn:
        assert turn.way is Way.CONTINUE
        async for _ in turn:
            pass
    await stage.ask("and without?", *history)
    one, two, default = (request.body["reasoning"] for request in stage.provider.turns)
    assert one == two == {"effort": "high", "summary": "detailed"}
    assert default != one


async def test_effort_and_schema_reach_the_provider_in_every_turn(stage: Stage) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
        "additionalProperties": False,
    }
    wanted: dict[str, Any] = {
        "sampling": Sampling(effort="minimal"),
        "output": OutputSchema(schema),
    }
    first = directed(text='{"name": "Ann"}', chunks=3)
    events = await stage.ask(first, **wanted)
    assert text_of(events) == '{"name": "Ann"}'
    history = (("user", first), ("assistant", text_of(events)))
    async with stage.pool.turn(asked("again", *history, **wanted), 30) as turn:
        assert turn.way is Way.CONTINUE
        async for _ in turn:
            pass
    for request in stage.provider.turns:
        assert request.body["reasoning"]["effort"] == "minimal"
        form = request.body["text"]["format"]
        assert (form["type"], form["strict"], form["schema"]) == ("json_schema", True, schema)
    await stage.ask("free", *history, ("user", "again"), ("assistant", "?"))
    assert "format" not in stage.provider.turns[-1].body.get("text", {})


async def test_a_stop_text_ends_the_answer_before_it(stage: Stage) -> None:
    asked_for = directed(words=9, delay=0.01)
    events = await stage.ask(asked_for, sampling=Sampling(stop=("rd3", "\n")))
    assert text_of(events) == "word1 word2 wo"
    assert isinstance(events[-1], Completed)
    assert (events[-1].stop_reason, events[-1].stop_sequence) == ("stop_sequence", "rd3")


async def test_an_agent_asked_for_json_gives_its_last_message_only(
    stage: Stage, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    call = {"name": "shell_command", "arguments": {"command": "true"}}
    asked_for = directed(text='{"step": 1}', tools=[call], then={"text": '{"step": 2}'})
    events = await stage.ask(
        asked_for,
        permissions=Permissions(tools=True),
        workdir=work,
        output=OutputSchema({"type": "object"}),
    )
    assert text_of(events) == '{"step": 2}'
    assert len(stage.provider.turns) == 2


async def test_interrupt_drops_the_provider_and_keeps_the_agent(stage: Stage) -> None:
    async with stage.pool.turn(asked(directed(words=9, hold_after=2)), 30) as turn:
        async for batch in turn:
            if text_of(batch):
                break
    await stage.provider.wait_for_disconnects(1)
    before = stage.pids
    assert text_of(await stage.ask("still there?")) == DEFAULT_TEXT
    assert stage.pids == before


async def test_twenty_at_once(stage: Stage) -> None:
    async def one(number: int) -> None:
        text = directed(f"marker=m{number}", words=5, delay=0.01)
        assert text_of(await stage.ask(text)).endswith(f"marker=m{number}")

    await asyncio.gather(*(one(number) for number in range(20)))
    assert len(stage.provider.turns) == 20
    assert len(stage.pids) <= 2


def shell(command: str, **fields: Any) -> str:
    call = {"name": "exec_command", "arguments": {"cmd": command, **fields}}
    return directed(tools=[call], then={"text": "Done."})


async def test_agent_works_in_the_workdir(stage: Stage, tmp_path: Path) -> None:
    workdir = tmp_path / "project"
    workdir.mkdir()
    (workdir / "AGENTS.md").write_text("OBEY ME")
    permissions = Permissions(tools=True, approval="none", sandbox="full")
    before = (stage.home / "config.toml").read_text()
    events = await stage.ask(
        shell("pwd; env; touch made"), workdir=workdir, permissions=permissions
    )
    (output,) = [event for event in events if isinstance(event, ToolOutput)]
    assert output.name == "command_execution"
    assert output.output.startswith(f"{workdir}\n")
    assert "fake-key" not in output.output
    assert (workdir / "made").exists()
    assert text_of(events) == "Done."
    assert "OBEY ME" not in json.dumps(stage.provider.turns[0].body)
    assert (stage.home / "config.toml").read_text() == before


@pytest.mark.parametrize("trusted", [False, True])
async def test_workdir_configures_the_agent_only_if_trusted(tmp_path: Path, trusted: bool) -> None:
    project = tmp_path / "project"
    workdir = project / "deep"
    (project / ".git" / "objects").mkdir(parents=True)
    (project / ".git" / "refs").mkdir()
    (project / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    for folder in (project, workdir):
        (folder / ".codex").mkdir(parents=True)
        (folder / ".codex" / "config.toml").write_text('developer_instructions = "OBEY"\n')
        (folder / "AGENTS.md").write_text("OBEY")

    def edit(home: Path, url: str) -> None:
        with (home / "config.toml").open("a") as settings:
            settings.write(f'\n[projects."{project}"]\ntrust_level = "trusted"\n')

    async with staged(tmp_path, edit) as stage:
        before = (stage.home / "config.toml").read_text()
        permissions = Permissions(tools=True, approval="auto", trusted=trusted)
        await stage.ask("hello", workdir=workdir, permissions=permissions)
        assert ("OBEY" in json.dumps(stage.provider.turns[0].body)) is trusted
        # codex would write a trusted or writable workdir into the person's settings.
        assert (stage.home / "config.toml").read_text() == before


async def test_what_a_person_would_be_asked_is_declined(stage: Stage, tmp_path: Path) -> None:
    workdir = tmp_path / "project"
    workdir.mkdir()
    text = shell("touch made", sandbox_permissions="require_escalated", justification="please")
    events = await stage.ask(text, workdir=workdir, permissions=Permissions(tools=True))
    (output,) = [event for event in events if isinstance(event, ToolOutput)]
    assert output.is_error
    assert not (workdir / "made").exists()
    assert text_of(events) == "Done."


async def test_agents_without_a_workdir_do_not_share_one(stage: Stage) -> None:
    permissions = Permissions(tools=True, approval="none", sandbox="full")
    for text in (shell("ls; touch made"), shell("ls; touch made also")):
        events = await stage.ask(text, permissions=permissions)
        (output,) = [event for event in events if isinstance(event, ToolOutput)]
        assert (output.output, output.is_error) == ("", False)
