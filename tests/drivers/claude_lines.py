"""Lines of Claude Code, recorded and made up, and conversations to play them at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clinvkd.config import Backend
from clinvkd.drivers.base import Json
from clinvkd.drivers.claude import ClaudeDriver
from clinvkd.drivers.claude.script import ClaudeScript
from clinvkd.events import Completed, TextDelta, Usage
from clinvkd.prompt import Message, Prompt, Text

from .playing import TRANSCRIPTS, Played, continue_play, lines, play

BACKEND = Backend(name="claude", driver="claude", command=("claude",))
ONE_CALL = Usage(input_tokens=3566, output_tokens=7, cached_tokens=3333, cache_write_tokens=222)
HELLO = [TextDelta(text) for text in ("Hello fr", "om the f", "ake prov", "ider.")]
INTERRUPT = {"subtype": "interrupt"}


def recorded(name: str) -> list[Json]:
    """What the CLI wrote in the transcript whose name begins with `name`."""
    (path,) = (TRANSCRIPTS / "claude").glob(f"{name}*.jsonl")
    return [
        entry["line"]
        for entry in lines(path)[1:]
        if entry["dir"] == "stdout" and "type" in entry["line"]
    ]


def asked(text: str, *history: Message, **options: Any) -> Prompt:
    message = Message("user", (Text(text),))
    return Prompt(backend="claude", messages=(*history, message), **options)


def script(prompt: Prompt | None = None, *, version: str = "2.1.330") -> ClaudeScript:
    """The conversation of a process that was just started, bound to `prompt`."""
    driver = ClaudeDriver(BACKEND, Path("/scratch"))
    play(driver.start(), [version_answer(version)])
    conversation = driver.open()
    if prompt is not None:
        assert play(conversation.bind(prompt)).finished
    return conversation


def version_answer(version: str) -> Json:
    return answer({"version": version, "buildTime": "2026-11-20T17:34:37Z"})


def answer(response: Json) -> Json:
    return {
        "type": "control_response",
        "response": {"subtype": "success", "request_id": "clinvk-0", "response": response},
    }


def event(kind: str, parent: str | None = None, **fields: Any) -> Json:
    return {"type": "stream_event", "event": {"type": kind, **fields}, "parent_tool_use_id": parent}


def started() -> Json:
    return event("message_start", message={"usage": {"input_tokens": 5, "output_tokens": 1}})


def block(kind: str = "text") -> Json:
    return event("content_block_start", index=0, content_block={"type": kind})


def said(text: str) -> Json:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def ended(reason: str | None) -> Json:
    return event("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 9})


def result(**fields: Any) -> Json:
    return {"type": "result", "subtype": "success", "is_error": False, "result": "", **fields}


def called(identity: str, name: str = "Bash", parent: str | None = None, **given: Any) -> Json:
    content = [{"type": "tool_use", "id": identity, "name": name, "input": given}]
    return {"type": "assistant", "message": {"content": content}, "parent_tool_use_id": parent}


def gave(identity: str, content: Any, **fields: Any) -> Json:
    given = {"type": "tool_result", "tool_use_id": identity, "content": content, **fields}
    return {"type": "user", "message": {"content": [given]}, "parent_tool_use_id": None}


def question(tool: str, given: Json, number: str = "q1") -> Json:
    request = {"subtype": "can_use_tool", "tool_name": tool, "input": given, "tool_use_id": "t"}
    return {"type": "control_request", "request_id": number, "request": request}


def user_line(*content: Json, **fields: Any) -> Json:
    return {
        "type": "user",
        "message": {"role": "user", "content": list(content)},
        "parent_tool_use_id": None,
        "client_composed": True,
        **fields,
    }


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def requests(played: Played) -> list[Json]:
    return [sent["request"] for sent in played.sent if sent["type"] == "control_request"]


def settings(played: Played) -> list[Json]:
    return [
        request["settings"]
        for request in requests(played)
        if request["subtype"] == "apply_flag_settings"
    ]


def stopped(played: Played) -> Completed:
    assert played.finished
    assert isinstance(played.events[-1], Completed)
    return played.events[-1]


class Live:
    """A turn that can be fed step by step."""

    def __init__(self, conversation: ClaudeScript, prompt: Prompt) -> None:
        self.exchange = conversation.turn(prompt)
        self.played = Played()
        continue_play(self.exchange, self.played, None, iter(()))

    def feed(self, *messages: Json) -> Played:
        rest: Iterator[Json] = iter(messages)
        continue_play(self.exchange, self.played, next(rest), rest)
        return self.played
