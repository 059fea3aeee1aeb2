"""The ACP driver in the pool, with the real gemini, opencode and qwen before fake providers."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from clinvkd.errors import (
    AgentExited,
    BackendError,
    BackendRefused,
    BackendUnavailable,
    ClinvkError,
    RateLimited,
    TurnTimeout,
)
from clinvkd.events import (
    Completed,
    Event,
    Progress,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolOutput,
)
from clinvkd.pool import Way
from clinvkd.prompt import (
    Audio,
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
from tests.pools import ask, text_of
from tests.providers import DEFAULT_TEXT

from .acp_stage import Stage, stage

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

EACH = pytest.mark.parametrize("name", ["gemini", "opencode", "qwen"])
HELD = '%%{"words":6,"hold_after":3}%%'
HISTORY = (("user", "/first"), ("assistant", "one"), ("user", "second"), ("assistant", "two"))
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9aw"
    "AAAABJRU5ErkJggg=="
)
WAV = base64.b64encode(b"RIFF\x24\0\0\0WAVEfmt ").decode()


def said(on: Stage, number: int = -1) -> list[tuple[str, str]]:
    """What the provider saw in a turn."""
    return [(u.role, u.text) for u in on.provider.turns[number].conversation.utterances]


async def until_held(on: Stage, text: str) -> None:
    """Run a turn until the provider stands still, then leave it."""
    got = 0
    async with on.pool.turn(on.asked(text), 60) as turn:
        async for batch in turn:
            got += sum(isinstance(event, TextDelta) for event in batch)
            if got == 3:
                return


async def collect(on: Stage, text: str, events: list[Event]) -> None:
    """Run a turn and keep what came before it failed."""
    async with on.pool.turn(on.asked(text), 20) as turn:
        async for batch in turn:
            events += batch


async def kill_when_it_talks(on: Stage) -> None:
    async with on.pool.turn(on.asked(HELD), 60) as turn:
        (pid,) = on.pids
        async for batch in turn:
            # Once: it may have said more before it died.
            if pid is not None and any(isinstance(event, TextDelta) for event in batch):
                os.kill(pid, signal.SIGKILL)
                pid = None


@EACH
async def test_an_answer_streams_and_its_conversation_is_continued(
    name: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as on:
        early: list[str] = []
        late: list[str] = []
        asked = on.asked('%%{"words":6,"hold_after":3,"thinking":"hmm"}%% marker=M1')
        thoughts = ""
        released = False
        async with on.pool.turn(asked, 60) as turn:
            async for batch in turn:
                thoughts += "".join(e.text for e in batch if isinstance(e, ThinkingDelta))
                new = [event.text for event in batch if isinstance(event, TextDelta)]
                (late if released else early).extend(new)
                if len(early) == 3 and not released:
                    released = True
                    on.provider.release()
        assert early == ["word1 ", "word2 ", "word3 "]
        answer = "".join(early + late)
        assert answer == "word1 word2 word3 word4 word5 word6 marker=M1"
        assert "hmm" in thoughts
        assert turn.completed is not None
        usage = turn.completed.usage
        # gemini does not tell what was cached and counts no thoughts.
        assert usage.input_tokens == 31
        assert usage.output_tokens == (10 if name == "gemini" else 13)
        more = on.asked("and more", ("user", asked.new[0].text), ("assistant", answer))
        async with on.pool.turn(more, 60) as turn:
            assert turn.way is Way.CONTINUE
            assert (
                "".join([e.text async for batch in turn for e in batch if isinstance(e, TextDelta)])
                == DEFAULT_TEXT
            )
        seen = said(on)
        assert [role for role, _ in seen] == ["user", "assistant", "user"]
        assert seen[1:] == [("assistant", answer), ("user", "and more")]


@EACH
async def test_system_prompt_and_history_reach_the_provider(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        events = await on.ask("/help", *HISTORY, system="You are a parrot.")
        assert text_of(events) == DEFAULT_TEXT
        assert on.provider.turns[-1].conversation.system.startswith("You are a parrot.")
        seen = said(on)
        if name == "gemini":
            assert seen == [
                ("user", "\u200b/first"), ("assistant", "one"), ("user", "second"),
                ("assistant", "two"), ("user", "\u200b/help"),
            ]  # fmt: skip
        else:
            ((role, text),) = seen
            assert role == "user"
            assert "<user>\n/first\n</user>\n<assistant>\none\n</assistant>" in text
            assert text.endswith("\u200b/help")
        # Chats are small, and no tools are offered.
        assert not [
            tool
            for tool in on.provider.turns[-1].body.get("tools", [])
            if tool.get("functionDeclarations", tool)
        ]


@EACH
async def test_interrupt_drops_the_provider_and_keeps_the_agent(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        await until_held(on, HELD)
        await on.provider.wait_for_disconnects(1)
        pids = on.pids
        assert text_of(await on.ask("next")) == DEFAULT_TEXT
        assert on.pids == pids


@EACH
async def test_twenty_at_once_each_get_their_own_answer(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        answers = await asyncio.gather(
            *(on.ask(f'%%{{"words":3,"delay":0.05}}%% marker=M{n}') for n in range(20))
        )
        assert [text_of(events) for events in answers] == [
            f"word1 word2 word3 marker=M{n}" for n in range(20)
        ]


@EACH
async def test_a_killed_agent_fails_its_turn_and_is_replaced(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        with pytest.raises(AgentExited):
            await kill_when_it_talks(on)
        assert text_of(await on.ask("next")) == DEFAULT_TEXT


FAILURES: list[tuple[str, dict[str, Any], type[ClinvkError]]] = [
    ("gemini", {"error": 400}, BackendRefused),
    ("gemini", {"error": 401}, BackendUnavailable),
    ("gemini", {"error": 404}, BackendRefused),
    ("gemini", {"error": 429}, RateLimited),
    ("gemini", {"error": 500}, BackendError),
    ("gemini", {"cut_after": 2, "words": 6, "delay": 0.02}, BackendError),
    ("opencode", {"error": 400}, BackendRefused),
    ("opencode", {"error": 401}, BackendUnavailable),
    ("opencode", {"error": 404}, BackendRefused),
    ("opencode", {"error": 429}, RateLimited),
    ("opencode", {"error": 500}, BackendError),
    ("opencode", {"cut_after": 2, "words": 6, "delay": 0.02}, BackendError),
    # 429 and 500 it retries by itself, without a switch: the pool's budgets end them.
    ("qwen", {"error": 400}, BackendRefused),
    ("qwen", {"error": 401}, BackendUnavailable),
    ("qwen", {"error": 404}, BackendRefused),
    ("qwen", {"cut_after": 0}, BackendError),
    ("qwen", {"cut_after": 2, "words": 6, "delay": 0.02}, BackendError),
]


@EACH
async def test_a_failing_provider_is_told_at_once_and_no_text_twice(
    name: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as on:
        for agent, reply, kind in FAILURES:
            if agent != name:
                continue
            before = len(on.provider.turns)
            events: list[Event] = []
            with pytest.raises(ClinvkError) as caught:
                await collect(on, f"%%{json.dumps(reply)}%%", events)
            assert type(caught.value) is kind, reply
            assert len(on.provider.turns) == before + 1
            assert text_of(events) in ("", "word1 ", "word1 word2 ")
        assert text_of(await on.ask("next")) == DEFAULT_TEXT


@pytest.mark.parametrize("name", ["gemini", "qwen"])
async def test_what_the_agent_does_not_send_for_its_length_is_refused(
    name: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as on:
        with pytest.raises(BackendRefused, match="too l") as caught:
            await on.ask("a " * 2_600_000)
        assert caught.value.param == "prompt"
        assert not on.provider.turns
        assert text_of(await on.ask("next")) == DEFAULT_TEXT


@EACH
async def test_a_silent_provider_runs_into_our_own_limit(name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as on:
        await on.ask("warm")
        with pytest.raises(TurnTimeout):
            await ask(on.pool, on.asked('%%{"silent":true}%%'), 10)
        await on.provider.wait_for_disconnects(1)
        assert text_of(await on.ask("next")) == DEFAULT_TEXT


async def test_gemini_gets_media_and_tool_calls_of_a_history_natively(tmp_path: Path) -> None:
    recording = Audio("audio/wav", WAV)
    messages = (
        Message("user", (Text("look"), Image("image/png", PIXEL), recording)),
        Message("assistant", (Text("calling"), ToolUse("c1", "get_weather", {"city": "Oslo"}))),
        Message("user", (ToolResult("c1", (Text("sunny"),)),)),
        Message("assistant", (Text("it is sunny"),)),
        Message("user", (Text("sure?"), Image("image/png", PIXEL), recording)),
    )
    async with stage("gemini", tmp_path) as on:
        asked = Prompt(backend="gemini", messages=messages, model="gemini-2.5-flash")
        assert text_of(await ask(on.pool, asked)) == DEFAULT_TEXT
        contents = on.provider.turns[-1].body["contents"]
        assert [content["role"] for content in contents] == [
            "user", "model", "user", "model", "user",
        ]  # fmt: skip
        image = {"inlineData": {"mimeType": "image/png", "data": PIXEL}}
        audio = {"inlineData": {"mimeType": "audio/wav", "data": WAV}}
        assert contents[0]["parts"][-2:] == [image, audio]
        assert contents[1]["parts"][1]["functionCall"]["args"] == {"city": "Oslo"}
        assert contents[2]["parts"][0]["functionResponse"]["response"] == {"output": "sunny"}
        assert contents[4]["parts"] == [{"text": "sure?"}, image, audio]


async def test_gemini_obeys_sampling_and_output_form(tmp_path: Path) -> None:
    schema = OutputSchema({"type": "object", "properties": {"a": {"type": "string"}}})
    async with stage("gemini", tmp_path) as on:
        sampling = Sampling(temperature=0.25, top_p=0.5, top_k=7, seed=3, effort="low")
        wanted: dict[str, Any] = {"sampling": sampling, "output": schema, "max_tokens": 77}
        text = '%%{"text": "{\\"a\\": \\"b\\"}"}%%'
        events = await on.ask(text, **wanted)
        assert text_of(events) == '{"a": "b"}'
        generation = on.provider.turns[-1].body["generationConfig"]
        assert generation["temperature"] == 0.25
        assert (generation["topP"], generation["topK"], generation["seed"]) == (0.5, 7, 3)
        assert generation["thinkingConfig"]["thinkingBudget"] == 1024
        assert generation["responseMimeType"] == "application/json"
        assert generation["responseJsonSchema"]["properties"] == {"a": {"type": "string"}}
        # Settings are read only when a session is new; one with a history is loaded.
        await on.ask("x", *HISTORY, sampling=Sampling(temperature=0.5))
        turn = on.provider.turns[-1]
        assert turn.body["generationConfig"].get("temperature") != 0.5
        assert [u.role for u in turn.conversation.utterances] == ["user", "assistant"] * (
            len(HISTORY) // 2
        ) + ["user"]


async def test_gemini_asks_for_a_budget_of_reasoning_or_a_level_but_not_both(
    tmp_path: Path,
) -> None:
    async with stage("gemini", tmp_path) as on:
        for model in ("gemini-2.5-flash", "gemini-3-flash-preview", "fake-1", None):
            for sampling, budget in (
                (Sampling(effort="low"), 1024),
                (Sampling(thinking_tokens=0), 0),
            ):
                await on.ask("x", model=model, sampling=sampling)
                told = on.provider.turns[-1].body["generationConfig"]["thinkingConfig"]
                assert told["thinkingBudget"] == budget
                assert told["includeThoughts"] is (budget > 0)
                assert told.get("thinkingLevel") is None


async def test_gemini_goes_on_only_with_the_settings_it_was_opened_with(tmp_path: Path) -> None:
    async with stage("gemini", tmp_path) as on:
        low = Sampling(temperature=0.25)
        history = [("user", "one"), ("assistant", text_of(await on.ask("one", sampling=low)))]
        for text, sampling, way in (
            ("two", low, Way.CONTINUE),
            ("three", Sampling(temperature=0.5), Way.SEED),
            ("four", Sampling(temperature=0.5), Way.CONTINUE),
            ("five", Sampling(), Way.SEED),
        ):
            answer = ""
            async with on.pool.turn(on.asked(text, *history, sampling=sampling), 60) as turn:
                assert turn.way is way
                async for batch in turn:
                    answer += text_of(batch)
            history += [("user", text), ("assistant", answer)]
        seen = [turn.body["generationConfig"].get("temperature") for turn in on.provider.turns]
        # Settings are read when a session is new; one that is loaded has none.
        assert seen[:2] == [0.25, 0.25]
        assert not {0.25, 0.5} & set(seen[2:])


async def test_gemini_is_stopped_by_clinvk(tmp_path: Path) -> None:
    async with stage("gemini", tmp_path) as on:
        asked = '%%{"words": 9, "delay": 0.01}%%'
        events = await on.ask(asked, sampling=Sampling(stop=("rd3",)))
        assert text_of(events) == "word1 word2 wo"
        assert isinstance(events[-1], Completed)
        assert (events[-1].stop_reason, events[-1].stop_sequence) == ("stop_sequence", "rd3")


async def test_gemini_leaves_nothing_in_the_users_home(tmp_path: Path) -> None:
    async with stage("gemini", tmp_path) as on:
        await on.ask("x", *HISTORY)
        kept = [path for path in (on.agent.home / ".gemini").rglob("*") if path.is_file()]
        assert [path.name for path in kept] == ["settings.json"]


@pytest.mark.parametrize(("approval", "done"), [("default", False), ("auto", True), ("none", True)])
async def test_gemini_works_in_a_workdir_as_far_as_it_is_permitted(
    approval: Any, done: bool, tmp_path: Path
) -> None:
    workdir = tmp_path / "project"
    workdir.mkdir()
    target = workdir / "new.txt"
    write = {"name": "write_file", "arguments": {"file_path": str(target), "content": "x"}}
    permissions = Permissions(tools=True, approval=approval)
    async with stage("gemini", tmp_path) as on:
        events = await on.ask(
            f"%%{json.dumps({'tools': [write]})}%%",
            *HISTORY,
            workdir=workdir,
            permissions=permissions,
        )
        assert [event.name for event in events if isinstance(event, ToolCall)] == ["write_file"]
        assert (Progress("refused", "write_file") in events) is not done
        assert target.exists() is done
        assert isinstance(events[-1], Completed)
        assert {path.name for path in workdir.iterdir()} <= {"new.txt"}
        assert [role for role, _ in said(on, 0)] == [
            "user", "assistant", "user", "assistant", "user",
        ]  # fmt: skip


async def test_what_qwen_is_started_with_does_not_reach_its_shell(tmp_path: Path) -> None:
    shell = {"name": "run_shell_command", "arguments": {"command": "echo got=[$NODE_OPTIONS]"}}
    permissions = Permissions(tools=True, approval="none")
    async with stage("qwen", tmp_path) as on:
        asked = f"%%{json.dumps({'tools': [shell]})}%%"
        events = await on.ask(asked, workdir=tmp_path, permissions=permissions)
        (output,) = [event.output for event in events if isinstance(event, ToolOutput)]
        assert "got=[]" in str(output)
