"""Talks to an ACP driver as an agent would, from a recording or by rules, without any I/O."""

from __future__ import annotations

import inspect
import json
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from clinvkd.config import Backend
from clinvkd.drivers.acp import AcpDriver
from clinvkd.drivers.acp.script import AcpScript
from clinvkd.drivers.base import (
    APPROVAL_DECIDED,
    TOOL_CALLED,
    AnswerTool,
    AskApproval,
    Exchange,
    Json,
    Receive,
    RunProgram,
    Send,
    ServeTools,
    WithdrawApproval,
    WriteFile,
)
from clinvkd.events import Event, TextDelta
from clinvkd.prompt import Message, Permissions, Prompt, Text

from .playing import TRANSCRIPTS, lines

SCRATCH = Path("/scratch")

Agent = Callable[[Json], Iterable[Json]]


def backend(*command: str, **options: Any) -> Backend:
    return Backend(name="it", driver="acp", command=command or ("unknown-agent",), **options)


def prompt(text: str, *history: Message, **options: Any) -> Prompt:
    return Prompt(backend="it", messages=(*history, said("user", text)), **options)


def said(role: Any, text: str) -> Message:
    return Message(role, (Text(text),))


TOOLS = Permissions(tools=True)


class Recording:
    """An agent that answers as a recorded one did, request by request of the same method."""

    def __init__(self, name: str) -> None:
        talk = [entry for entry in lines(TRANSCRIPTS / name) if "dir" in entry]
        self._talk = [(entry["dir"] == "client->agent", entry["msg"]) for entry in talk]
        self._at = 0

    def __call__(self, message: Json) -> Iterable[Json]:
        if "id" not in message or "method" not in message:
            return
        asked = (
            index
            for index, (ours, recorded) in enumerate(self._talk)
            if index >= self._at and ours and recorded.get("method") == message["method"]
        )
        if (found := next(asked, None)) is None:
            return  # more than was recorded, such as a session in advance: never answered
        self._at = found
        number = self._talk[self._at][1]["id"]
        for ours, recorded in self._talk[self._at + 1 :]:
            if ours:
                continue
            if recorded.get("id") == number and "method" not in recorded:
                yield {**recorded, "id": message["id"]}
                break
            yield recorded
        self._at += 1


class Rules:
    """An agent that answers each method with what a test sets.

    A value is the result, or a callable that gets the request and gives all messages.
    """

    def __init__(self, **methods: Any) -> None:
        self.sessions = 0
        self.methods: dict[str, Any] = {
            "initialize": {
                "protocolVersion": 1,
                "agentCapabilities": {"promptCapabilities": {"image": True, "audio": True}},
            },
            "session/prompt": answering("yes"),
            **{name.replace("_", "/", 1): value for name, value in methods.items()},
        }

    def __call__(self, message: Json) -> Iterable[Json]:
        if "id" not in message or "method" not in message:
            return
        match self.methods.get(message["method"]):
            case None if message["method"] == "session/new":
                self.sessions += 1
                yield result(message, {"sessionId": f"s{self.sessions}"})
            case None:
                yield result(message, {})
            case dict(value):
                yield result(message, value)
            case rule:
                yield from rule(message)


def result(request: Json, value: Json) -> Json:
    return {"jsonrpc": "2.0", "id": request["id"], "result": value}


def error(code: int, text: str, data: object = None) -> Callable[[Json], list[Json]]:
    return lambda request: [
        {"id": request["id"], "error": {"code": code, "message": text, "data": data}}
    ]


def update(request: Json, **members: Any) -> Json:
    session = request["params"]["sessionId"]
    return {"method": "session/update", "params": {"sessionId": session, "update": members}}


def chunk(request: Json, text: str, **members: Any) -> Json:
    content = {"type": "text", "text": text}
    return update(request, sessionUpdate="agent_message_chunk", content=content, **members)


def answering(*texts: str, reason: str = "end_turn", **members: Any) -> Agent:
    usage = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
    return lambda request: [
        *(chunk(request, text) for text in texts),
        result(request, {"stopReason": reason, "usage": usage, **members}),
    ]


PLACE = {"url": "http://127.0.0.1:9/mcp", "headers": {"Authorization": "Bearer t"}}


def called(number: int, name: str, **arguments: Any) -> Json:
    """The message for a call of a tool of the caller's."""
    params = {"id": f"call_{number}", "name": name, "arguments": arguments}
    return {"method": TOOL_CALLED, "params": params}


class Talk:
    """A driver and the agent it talks to.

    Attributes:
        sent: messages the driver wrote, in order.
        files: files it wanted written.
        served: definitions of tools it wanted served.
        results: results it gave for calls, in order.
        asked: what it wanted the caller asked.
    """

    def __init__(self, agent: Agent, *command: str, **options: Any) -> None:
        self.driver = AcpDriver(backend(*command, **options), SCRATCH)
        self.agent = agent
        self.sent: list[Json] = []
        self.files: list[WriteFile] = []
        self.served: list[Json] = []
        self.results: list[AnswerTool] = []
        self.asked: list[AskApproval] = []
        self.incoming: deque[Json] = deque()

    def start(self) -> Talk:
        self.play(self.driver.start(), None)
        return self

    def ask(self, script: AcpScript, asked: Prompt) -> list[Event]:
        """A whole turn; as the pool, binds and seeds a conversation first."""
        events = self.play(script.bind(asked), script)
        if asked.history:
            events += self.play(script.seed(asked.history), script)
        return events + self.play(script.turn(asked), script)

    def again(self, script: AcpScript, asked: Prompt) -> list[Event]:
        """A further turn."""
        return self.play(script.turn(asked), script)

    def play(self, exchange: Exchange[None], script: AcpScript | None) -> list[Event]:
        """Play on until the exchange ends or nothing more comes."""
        events: list[Event] = []
        self.resume(exchange, script, events)
        return events

    def resume(
        self, exchange: Exchange[None], script: AcpScript | None, events: list[Event]
    ) -> bool:
        """Play on; whether the exchange ended."""
        value: Json | None = None
        if inspect.getgeneratorstate(exchange) == inspect.GEN_SUSPENDED:
            value = self._next(script)
        while True:
            try:
                step = exchange.send(value)
            except StopIteration:
                self.settle()
                return True
            value = None
            match step:
                case Send(message):
                    self.write(message)
                case WriteFile():
                    self.files.append(step)
                case ServeTools(definitions):
                    self.served.extend(definitions)
                    value = PLACE
                case AnswerTool():
                    self.results.append(step)
                case Receive():
                    value = self._next(script)
                    if value is None:
                        return False
                case AskApproval():
                    self.asked.append(step)
                case RunProgram() | WithdrawApproval():
                    raise AssertionError("no ACP agent runs it beside its pipe or takes it back")
                case _:
                    events.append(step)

    def write(self, message: Json) -> None:
        json.dumps(message)
        self.sent.append(message)
        self.incoming.extend(self.agent(message))

    def settle(self) -> None:
        """Deliver what is left as the pool does: to nobody's exchange."""
        while self.incoming:
            self._deliver(self.incoming.popleft(), self.driver.route)

    def methods(self) -> list[str]:
        return [message.get("method", "answer") for message in self.sent]

    def last(self, method: str) -> Any:
        """Parameters of the newest message of a method."""
        return next(m["params"] for m in reversed(self.sent) if m.get("method") == method)

    def _next(self, script: AcpScript | None) -> Json | None:
        while self.incoming:
            message = self.incoming.popleft()
            if message.get("method") in (TOOL_CALLED, APPROVAL_DECIDED):
                return message
            owner = self.driver.route(message)
            if owner is script:
                return message
            self._deliver(message, lambda _, owner=owner: owner)  # type: ignore[misc]
        return None

    def _deliver(self, message: Json, route: Callable[[Json], AcpScript | None]) -> None:
        owner = route(message)
        sends = self.driver.unrouted(message) if owner is None else owner.unsolicited(message)
        for send in list(sends):
            self.write(send.message)


def text(events: Iterable[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def plain(**methods: Any) -> Talk:
    """A talk with an agent without any quirks, after the handshake."""
    return Talk(Rules(**methods)).start()


def gemini(**methods: Any) -> Talk:
    """A talk with an agent that is known as gemini, after the handshake."""
    return Talk(Rules(**methods), "gemini", "--acp").start()
