"""The dialect over the real Claude Code: its provider's events come out as they went in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.providers import AnthropicProvider
from tests.providers.recording import JsonObject
from tests.providers.server import Answer, Frame
from tests.real_agents import prepare

from .talk import Anthropic, Stream, assistant, named_events, serving, text, user

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

BOTH = pytest.mark.parametrize("name", ["claude", "claude-old"])
ADAPTIVE = {"type": "adaptive"}
TEXT = "Hello from the fake provider."


class Recorder(AnthropicProvider):
    """Keeps the events it sent; every event counts as a piece, so `cut_after` counts events."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[list[JsonObject]] = []
        """Events of every answer, pings left out."""

    def stream(self, answer: Answer) -> Iterator[Frame]:
        events: list[JsonObject] = []
        self.sent.append(events)
        for frame in super().stream(answer):
            yield Frame(frame.data, piece=True)
            events += [one for one in named_events(frame.data.decode()) if one["type"] != "ping"]


@dataclass(frozen=True, slots=True)
class Stage:
    """The application before a real agent before a fake provider."""

    anthropic: Anthropic
    provider: Recorder

    async def stream(self, prompt: str | list[Any], **body: Any) -> Stream:
        return await self.anthropic.stream(prompt, model="claude", **body)

    async def message(self, prompt: str | list[Any], **body: Any) -> dict[str, Any]:
        return await self.anthropic.message(prompt, model="claude", **body)

    @property
    def last(self) -> JsonObject:
        """Body of the provider's newest request."""
        return self.provider.turns[-1].body


@asynccontextmanager
async def stage(folder: Path, name: str = "claude", **section: Any) -> AsyncIterator[Stage]:
    async with Recorder() as provider:
        agent = prepare(name, provider.url, folder)
        claude = {"command": list(agent.command), "environment": agent.environment, **section}
        async with serving(folder, default_backend="claude", backends={"claude": claude}) as one:
            yield Stage(one, provider)


def said(**reply: Any) -> str:
    return f"Say hello %%{json.dumps(reply)}%%"


@BOTH
async def test_events_come_out_as_the_provider_sent_them(name: str, tmp_path: Path) -> None:
    async with stage(tmp_path, name) as staged:
        prompt = said(thinking="Let me see.", chunks=5)
        stream = await staged.stream(prompt, thinking=ADAPTIVE)
        [sent] = staged.provider.sent
        assert stream.events == sent
        assert [block["type"] for block in stream.message["content"]] == ["thinking", "text"]
        assert stream.message["content"][0]["signature"]
        assert stream.message["usage"]["cache_read_input_tokens"] == 7

        whole = await staged.message(prompt, thinking=ADAPTIVE)
        assert whole == Stream.read(wire(staged.provider.sent[-1])).message


def wire(events: list[JsonObject]) -> str:
    return "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events)


@BOTH
async def test_reasoning_nobody_asked_for_is_left_out(name: str, tmp_path: Path) -> None:
    async with stage(tmp_path, name) as staged:
        stream = await staged.stream(said(thinking="Let me see."))
        [sent] = staged.provider.sent
        expected = [
            {**event, "index": 0} if "index" in event else event
            for event in sent
            if event.get("index") != 0
        ]
        assert stream.events == expected


@BOTH
@pytest.mark.parametrize(
    ("reply", "reason", "sequence"),
    [
        ("max_tokens", "max_tokens", None),
        ("stop_sequence", "stop_sequence", "END"),
        ("refusal", "refusal", None),
    ],
)
async def test_how_a_message_ends(
    name: str, reply: str, reason: str, sequence: str | None, tmp_path: Path
) -> None:
    async with stage(tmp_path, name) as staged:
        stream = await staged.stream(said(stop=reply), stop_sequences=["END"], max_tokens=77)
        # After a message that was too long the agent goes on by itself, if it is not stopped in
        # time; nothing of that is told.
        assert stream.events == staged.provider.sent[0]
        assert stream.message["stop_reason"] == reason
        assert stream.message["stop_sequence"] == sequence
        asked = staged.provider.turns[0].body
        assert (asked["max_tokens"], asked["stop_sequences"]) == (77, ["END"])
        whole = await staged.message(said(stop=reply), stop_sequences=["END"])
        assert (whole["stop_reason"], whole["stop_sequence"]) == (reason, sequence)
        assert whole["content"] == stream.message["content"]


@pytest.mark.parametrize("fault", ["cut_after", "fail_after"])
async def test_no_text_twice_wherever_the_providers_stream_ends(fault: str, tmp_path: Path) -> None:
    async with stage(tmp_path) as staged:
        await staged.stream(said(thinking="Hm.", chunks=3), thinking=ADAPTIVE)
        # The provider's ping counts too.
        count = len(staged.provider.sent[0]) + 1
        for number in range(count):
            prompt = said(thinking="Hm.", chunks=3, **{fault: number})
            answer = await staged.anthropic.post(
                prompt, model="claude", thinking=ADAPTIVE, stream=True
            )
            if answer.status != 200:
                assert answer.status in (500, 503, 529), answer.text
                continue
            stream = Stream.of(answer)
            if stream.error is None:
                assert stream.text == TEXT
                assert number >= count - 2, f"complete after {number} events"
            else:
                assert TEXT.startswith(stream.text)
            turns = [t for t in staged.provider.turns if t.last_user_text == prompt]
            assert len(turns) == 1, "asked twice"


async def test_a_thinking_budget_reaches_a_model_that_has_one(tmp_path: Path) -> None:
    async with stage(tmp_path) as staged:
        model = "claude/claude-sonnet-4-5"
        for thinking, seen in (
            ({"type": "enabled", "budget_tokens": 2048}, ("enabled", 2048)),
            ({"type": "disabled"}, ("disabled", None)),
        ):
            answer = await staged.anthropic.post(
                "hi", model=model, thinking=thinking, max_tokens=9000
            )
            assert answer.status == 200, answer.text
            assert "X-Clinvk-Ignored" not in answer.headers
            told = staged.last["thinking"]
            assert (told["type"], told.get("budget_tokens")) == seen
            assert staged.last["max_tokens"] == 9000


async def test_a_budget_holds_for_its_turn_only(tmp_path: Path) -> None:
    async with stage(tmp_path) as staged:
        model = "claude/claude-sonnet-4-5"
        history = [user("one")]
        first = await staged.anthropic.message(
            history, model=model, thinking={"type": "enabled", "budget_tokens": 2048},
            max_tokens=9000,
        )  # fmt: skip
        history += [assistant(first["content"]), user("two")]
        await staged.anthropic.message(history, model=model, max_tokens=9000)
        assert staged.anthropic.ways("claude")["continue"] == 1
        assert staged.last["thinking"].get("budget_tokens") != 2048


@BOTH
async def test_reasoning_handed_back_reaches_the_provider(name: str, tmp_path: Path) -> None:
    thoughts = [
        {"type": "thinking", "thinking": "One was asked.", "signature": "c2lnbmVk"},
        {"type": "redacted_thinking", "data": "c2VjcmV0"},
    ]
    async with stage(tmp_path, name) as staged:
        history = [user("one"), assistant([*thoughts, text("two")]), user("three")]
        assert (await staged.message(history, thinking=ADAPTIVE))["content"][-1]["text"] == TEXT
        [earlier] = [one for one in staged.last["messages"] if one["role"] == "assistant"]
        blocks = [
            {key: value for key, value in block.items() if key != "cache_control"}
            for block in earlier["content"]
        ]
        assert blocks == [*thoughts, text("two")]


async def test_a_pdf_reaches_the_provider(tmp_path: Path) -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQ="}
    async with stage(tmp_path) as staged:
        block = {"type": "document", "source": source, "title": "Tale"}
        await staged.message([user([block, text("What is it?")])])
        blocks = [one for message in staged.last["messages"] for one in message["content"]]
        [seen] = [one for one in blocks if isinstance(one, dict) and one["type"] == "document"]
        assert (seen["source"], seen["title"]) == (source, "Tale")


async def test_an_answer_of_a_form_is_text(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    config = {"format": {"type": "json_schema", "schema": schema}}
    call = {"name": "StructuredOutput", "arguments": {"city": "Oslo"}}
    async with stage(tmp_path) as staged:
        stream = await staged.stream(said(tools=[call]), output_config=config)
        assert json.loads(stream.text) == {"city": "Oslo"}
        assert stream.message["stop_reason"] == "end_turn"
        assert [block["type"] for block in stream.message["content"]] == ["text"]


async def test_what_the_agent_does_by_itself_is_left_out(tmp_path: Path) -> None:
    call = {"name": "Bash", "arguments": {"command": "true"}}
    async with stage(tmp_path, tools="on", allowed_tools=["Bash"]) as staged:
        stream = await staged.stream(
            said(text="First.", tools=[call], then={"text": "Second."}), thinking=ADAPTIVE
        )
        first, second = staged.provider.sent
        assert [block["type"] for block in stream.message["content"]] == ["text", "text"]
        assert stream.text == "First.Second."
        assert stream.events[0] == first[0]
        assert stream.message["stop_reason"] == "end_turn"
        deltas = [event for event in stream.events if event["type"] == "message_delta"]
        assert [delta["delta"] for delta in deltas] == [second[-2]["delta"]]
        # What both messages cost.
        assert stream.message["usage"]["output_tokens"] == 26


async def test_a_thread_keeps_signed_reasoning(tmp_path: Path) -> None:
    async with stage(tmp_path) as staged:
        first = await staged.message(
            said(thinking="Let me see."), thread={"type": "create"}, thinking=ADAPTIVE
        )
    async with stage(tmp_path) as staged:
        thread = {"type": "continue", "previous_message_id": first["id"]}
        await staged.message("more", thread=thread, thinking=ADAPTIVE)
        [earlier] = [one for one in staged.last["messages"] if one["role"] == "assistant"]
        kinds = [block["type"] for block in earlier["content"]]
        assert kinds == ["thinking", "text"]
        assert earlier["content"][0]["signature"] == first["content"][0]["signature"]
