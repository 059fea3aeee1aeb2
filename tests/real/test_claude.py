"""The claude driver in the pool, with the real CLIs against a fake Messages provider: answers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from clinvkd.events import Event, TextDelta, ThinkingDelta
from clinvkd.pool import Way
from clinvkd.prompt import Image, Message, Prompt, Text, ToolResult, ToolUse
from tests.pools import ask, text_of

from .claude_stage import BOTH, PIXEL, asked, collect, completed, files_with, messages, stage, text

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@BOTH
async def test_an_answer_streams_piece_by_piece(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        directive = '%%{"words":6,"hold_after":3,"thinking":"hmm"}%% marker=M1'
        early: list[str] = []
        late: list[str] = []
        thoughts = ""
        async with on.pool.turn(asked(directive), 60) as turn:
            assert turn.way is Way.START
            async for batch in turn:
                thoughts += "".join(e.text for e in batch if isinstance(e, ThinkingDelta))
                (late if on.provider.active == 0 else early).extend(
                    event.text for event in batch if isinstance(event, TextDelta)
                )
                if len(early) == 3:
                    on.provider.release()
        assert early[:3] == ["word1 ", "word2 ", "word3 "]
        assert "".join(early + late) == "word1 word2 word3 word4 word5 word6 marker=M1"
        assert thoughts == "hmm"
        assert turn.completed is not None
        assert turn.completed.stop_reason == "end_turn"
        usage = turn.completed.usage
        assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (31, 7, 13)
        assert usage.reasoning_tokens == 3
        assert turn.completed.cost_usd


@BOTH
async def test_system_prompt_settings_and_history_reach_the_provider_natively(
    name: str, tmp_path: Path
) -> None:
    history = (
        Message("user", (Text("Look."), Image("image/png", PIXEL))),
        Message("assistant", (Text("I run ls."), ToolUse("toolu_1", "Bash", {"command": "ls"}))),
        Message("user", (ToolResult("toolu_1", (Text("no such file"),), is_error=True),)),
        Message("assistant", (Text("It is empty."),)),
        Message("user", (Text("/cost"),)),
        Message("assistant", (Text("Nothing."),)),
    )
    new = Message("user", (Text("And now?"), Image("image/png", PIXEL)))
    bound = Prompt(
        backend="claude",
        messages=(*history, new),
        system="You are terse.",
        # 2.1.197 notes a change of the model in the conversation.
        model="claude-sonnet-5" if name == "claude" else None,
        max_tokens=1234,
        options=(("effort", "low"),),
    )
    async with stage(name, tmp_path) as on:
        await ask(on.pool, bound)
        (request,) = on.provider.turns
    image = {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
    }
    slash = "/cost" if name == "claude" else "\n/cost"
    assert messages(request) == [
        ("user", [text("Look."), image]),
        (
            "assistant",
            [
                text("I run ls."),
                {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}},
            ],
        ),
        (
            "user",
            [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [text("no such file")],
                    "is_error": True,
                }
            ],
        ),
        ("assistant", [text("It is empty.")]),
        ("user", [text(slash)]),
        ("assistant", [text("Nothing.")]),
        ("user", [text("And now?"), image]),
    ]
    assert request.body["system"][-1]["text"] == "You are terse."
    assert request.body["max_tokens"] == 1234
    assert request.body["output_config"]["effort"] == "low"
    assert not request.body.get("tools")
    if name == "claude":
        assert request.model == "claude-sonnet-5"


@BOTH
async def test_a_continued_conversation_sends_each_message_once(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        one = await on.ask("one marker=A", system="S", max_tokens=111)
        first = text_of(one)
        again = asked("two", ("user", "one marker=A"), ("assistant", first), system="S")
        async with on.pool.turn(again, 60) as turn:
            assert turn.way is Way.CONTINUE
            second: list[Event] = []
            await collect(turn, second)
        assert completed(second).cost_usd == pytest.approx(completed(one).cost_usd)
        requests = on.provider.turns
    assert messages(requests[1]) == [
        ("user", [text("one marker=A")]),
        ("assistant", [text(first)]),
        ("user", [text("two")]),
    ]
    limits = [request.body["max_tokens"] for request in requests]
    assert limits[0] == 111
    assert limits[1] > 111
    assert requests[1].body["system"][-1]["text"] == "S"


@BOTH
async def test_a_prompt_is_text_and_nothing_else(name: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("do not send this")
    words = ["/clear", "/compact", f"@{secret} what is it?", "-p --version", "!ls", "#note"]
    async with stage(name, tmp_path) as on:
        for said in words:
            assert text_of(await on.ask(said)) == "Hello from the fake provider."
        bodies = [json.dumps(request.body) for request in on.provider.turns]
        seen = [messages(request)[-1][1][-1]["text"] for request in on.provider.turns]
    assert [one.removeprefix("\n") for one in seen] == words
    assert not any("do not send this" in body for body in bodies)


@BOTH
async def test_a_chat_leaves_nothing_on_the_disk(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        await on.ask("remember marker=XYZZY")
        assert files_with(b"XYZZY", tmp_path) == []


@BOTH
async def test_twenty_conversations_at_once_are_not_mixed_up(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path, agents=6, queue_wait_secs=100) as on:
        answers = await asyncio.gather(
            *(
                on.ask(
                    f'%%{{"words":20,"delay":0.01}}%% marker=new{number}',
                    ("user", f"old{number}"),
                    ("assistant", f"reply{number}"),
                )
                for number in range(20)
            )
        )
        requests = on.provider.turns
    words = "".join(f"word{count} " for count in range(1, 21))
    assert [text_of(events) for events in answers] == [
        f"{words}marker=new{number}" for number in range(20)
    ]
    assert len(requests) == 20
    for request in requests:
        spoken = [blocks[0]["text"] for _, blocks in messages(request)]
        number = spoken[0].removeprefix("old")
        assert spoken[1] == f"reply{number}"
        assert spoken[2].endswith(f"marker=new{number}")
