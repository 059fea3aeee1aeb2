"""Conversations with codex for tests, fed with recorded lines as the pool feeds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from clinvkd.config import Backend
from clinvkd.drivers.base import APPROVAL_DECIDED, Exchange, Json
from clinvkd.drivers.codex import CodexDriver
from clinvkd.events import (
    Event,
    TextDelta,
    Usage,
)
from clinvkd.prompt import Image, Message, Permissions, Prompt, Text, ToolResult, ToolUse

from .playing import TRANSCRIPTS, Played, continue_play, lines, play

SCRATCH = Path("/scratch")
LOGGED_IN: Json = {"account": {"type": "apiKey"}, "requiresOpenaiAuth": True}
USAGE = Usage(input_tokens=1234, output_tokens=56, cached_tokens=1000, reasoning_tokens=7)


class Recording:
    """The turns of a transcript.

    A turn is what codex sent on its own (notifications and questions) from `turn/start` to
    `turn/completed`; a thread is the answer to the `thread/start` it belongs to.
    """

    def __init__(self, name: str) -> None:
        self._lines = lines(TRANSCRIPTS / "codex" / f"{name}.jsonl")
        self._starts = [
            index
            for index, line in enumerate(self._lines)
            if line["dir"] == ">" and line["msg"].get("method") == "turn/start"
        ]

    def turn(self, number: int) -> list[Json]:
        messages: list[Json] = []
        for line in self._lines[self._starts[number] :]:
            if line["dir"] == "<" and "method" in line["msg"]:
                messages.append(line["msg"])
                if line["msg"]["method"] == "turn/completed":
                    return messages
        raise AssertionError("the turn has no end")

    def thread(self, number: int) -> Json:
        wanted = self._lines[self._starts[number]]["msg"]["params"]["threadId"]
        for line in self._lines:
            match line["msg"]:
                case {"result": {"thread": {"id": found}, "model": model}} if found == wanted:
                    return {"thread": {"id": found}, "model": model}
        raise AssertionError("the thread was not started")


class Talk:
    """A conversation in a process that has shaken hands, fed as the pool feeds it."""

    def __init__(self, driver: CodexDriver | None = None) -> None:
        self.driver = driver or started()
        self.script = self.driver.open()
        self.requests: list[Json] = []

    def bind(self, prompt: Prompt, thread: Json | None = None) -> Played:
        """Play `bind`, the thread being started as recorded."""
        return self.play(
            self.script.bind(prompt), [{"result": thread or {"thread": {"id": "t"}, "model": "m"}}]
        )

    def play(self, exchange: Exchange[None], incoming: Iterable[Json]) -> Played:
        """Play an exchange; a message without a method answers the oldest open request."""
        played = Played()
        continue_play(exchange, played, None, self._routed(incoming, played))
        return played

    def resume(self, exchange: Exchange[None], message: Json | None) -> Played:
        """Give one more message to an exchange that waits, or None when it was silent long."""
        played = Played()
        continue_play(exchange, played, message, iter(()))
        return played

    def _routed(self, incoming: Iterable[Json], played: Played) -> Iterator[Json]:
        seen = 0
        for message in incoming:
            self.requests += [sent for sent in played.sent[seen:] if "method" in sent]
            seen = len(played.sent)
            if message.get("method") == APPROVAL_DECIDED:  # it does not come from codex
                yield message
                continue
            answer = message if {"id", "method"} & message.keys() else self._answer(message)
            route = self.driver.route(answer)
            if route is not None:
                assert route is self.script
                yield answer
        self.requests += [sent for sent in played.sent[seen:] if "method" in sent]

    def _answer(self, message: Json) -> Json:
        return {"id": self.requests.pop(0)["id"], **message}


def backend(**options: Any) -> Backend:
    return Backend(name="codex", driver="codex", command=("codex",), **options)


def started(
    config: Json | None = None, account: Json | None = None, catalog: bytes | None = None
) -> CodexDriver:
    """A driver that has shaken hands; `catalog` is what `codex debug models` prints."""
    driver = CodexDriver(backend(), SCRATCH)
    hello = {"userAgent": "clinvk/0.169.0 (Debian 12.0.0; x86_64) unknown (clinvk; 1)"}
    results = [hello, account or LOGGED_IN, {"config": config or {}}]
    answers = [{"id": number, "result": result} for number, result in enumerate(results, 1)]
    assert play(driver.start(), handshake(driver, answers), catalog).finished
    return driver


def handshake(driver: CodexDriver, answers: Iterable[Json]) -> Iterator[Json]:
    for answer in answers:
        assert driver.route(answer) is None
        yield answer


def asked(text: str = "hello", *before: Message, **options: Any) -> Prompt:
    return Prompt(backend="codex", messages=(*before, Message("user", (Text(text),))), **options)


def agent(**permissions: Any) -> Permissions:
    return Permissions(tools=True, **permissions)


def ask(
    name: str, number: int = 0, prompt: Prompt | None = None, talk: Talk | None = None
) -> Played:
    """Play a recorded turn from the start of its thread."""
    recording = Recording(name)
    talk = talk or Talk()
    prompt = prompt or asked()
    talk.bind(prompt, recording.thread(number))
    return talk.play(talk.script.turn(prompt), recording.turn(number))


def running(talk: Talk, prompt: Prompt, *messages: Json) -> Played:
    """Bind, start a turn and feed it `messages`, whose thread is ``t``."""
    talk.bind(prompt)
    begun = notice("turn/started", turn={"id": "u"})
    return talk.play(talk.script.turn(prompt), [begun, *messages])


def notice(method: str, **params: Any) -> Json:
    return {"method": method, "params": {"threadId": "t", **params}}


def done(status: str = "completed", **fields: Any) -> Json:
    return notice("turn/completed", turn={"id": "u", "status": status, **fields})


def failed(info: Any, text: str = "why") -> Json:
    return done("failed", error={"message": text, "codexErrorInfo": info})


def delta(item: str, text: str) -> Json:
    return notice("item/agentMessage/delta", itemId=item, delta=text)


def item(method: str, kind: str, name: str, **fields: Any) -> Json:
    return notice(f"item/{method}", item={"type": kind, "id": name, **fields})


def text(events: Iterable[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


HISTORY = (
    Message("user", (Text("What is this?"), Text(""), Image("image/png", "AAAA"))),
    Message("assistant", (Text("Let me look."), ToolUse("c1", "look", {"at": "ä"}))),
    Message(
        "user",
        (
            ToolResult("c1", (Text("a "), Text("cat"))),
            ToolResult("c2", (Text("and"), Image("image/gif", "BBBB")), is_error=True),
            Text("Well?"),
        ),
    ),
    Message("assistant", (Text("A cat."),)),
)
