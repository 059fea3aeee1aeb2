"""What an embedded agent is written against: sessions, turns, and the agent's own base class.

An agent implements :meth:`Agent.answer` for one turn at a time and streams through the
:class:`Turn` it is given; sessions, history, cancellation and the wire are the business of
:mod:`clinvkd.agents.acp`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from .jsonrpc import INVALID_PARAMS, Peer, RequestError

ContentBlock = dict[str, Any]
"""One content block as the Agent Client Protocol has it; always has a string ``type``."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message a session holds."""

    role: Literal["user", "assistant"]
    content: tuple[ContentBlock, ...]

    @property
    def text(self) -> str:
        """The text blocks, also those of tools' results, joined by newlines."""
        return "\n".join(text for block in self.content for text in _texts(block))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Sampling options of one turn; ``None`` leaves the choice to the agent."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    schema: dict[str, Any] | None = None
    """A JSON Schema: the answer is to be one JSON value that it accepts."""
    received: dict[str, Any] = field(default_factory=dict)
    """The options as they came, also those no agent knows."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool of the client's."""

    name: str
    description: str
    schema: dict[str, Any]
    """JSON Schema of its arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolChoice:
    """Whether the client's tools have to be called in a turn."""

    mode: Literal["auto", "required", "named"] = "auto"
    name: str = ""
    """The tool to call, when ``named``."""
    parallel: bool = True
    """Several may be called at once."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool of the client's, which brings the result with its next prompt."""

    id: str
    name: str
    input: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one turn.

    ``input_tokens`` counts everything the answer was made from: system prompt, history and
    prompt, including the ``cached_read_tokens`` that did not have to be read again.
    """

    input_tokens: int
    output_tokens: int
    cached_read_tokens: int | None = None
    thought_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a turn that was neither cancelled nor failed came to its end."""

    usage: Usage
    stop_reason: Literal["end_turn", "max_tokens"] = "end_turn"
    stop_sequence: str | None = None
    """The ``stop`` option that ended the answer, where the agent knows."""
    calls: tuple[ToolCall, ...] = ()
    """Calls of the client's tools with which the answer ends."""


@dataclass(slots=True, kw_only=True)
class Session:
    """One conversation. It holds only turns that ran to their end."""

    id: str
    cwd: str
    system: str | None = None
    history: list[Message] = field(default_factory=list)
    model: str = ""
    tool_calls: int = 0
    turn: asyncio.Task[Outcome | RequestError] | None = None
    """The running turn; a session serves one at a time."""

    def next_call_id(self) -> str:
        """An id for the next call, of the agent's own tools or of the client's."""
        self.tool_calls += 1
        return f"call-{self.tool_calls}"


class Turn:
    """One prompt being answered. What is said through it reaches the caller at once.

    ``tools`` are the client's tools that may be called.
    """

    def __init__(
        self,
        peer: Peer,
        session: Session,
        prompt: tuple[ContentBlock, ...],
        options: Options,
        tools: tuple[Tool, ...] = (),
        tool_choice: ToolChoice = ToolChoice(),
    ) -> None:
        self.session = session
        self.prompt = Message("user", prompt)
        self.options = options
        self.tools = tools
        self.tool_choice = tool_choice
        self._peer = peer
        self._said: list[str] = []

    @property
    def answer(self) -> Message:
        """What has been said so far."""
        return Message("assistant", ({"type": "text", "text": "".join(self._said)},))

    def message(self, calls: tuple[ToolCall, ...]) -> Message:
        """The answer as the history will hold it."""
        blocks = ({"type": "tool_use", **asdict(call)} for call in calls)
        return Message("assistant", (*self.answer.content, *blocks))

    async def say(self, text: str) -> None:
        """Stream a piece of the answer."""
        self._said.append(text)
        await self._chunk("agent_message_chunk", text)

    async def think(self, text: str) -> None:
        """Stream a piece of reasoning; it is not kept in the history."""
        await self._chunk("agent_thought_chunk", text)

    async def update(self, update: dict[str, Any]) -> None:
        """Send one ``session/update`` and let every other session have its go."""
        self._peer.notify("session/update", {"sessionId": self.session.id, "update": update})
        await asyncio.sleep(0)
        await self._peer.drain()

    async def ask_permission(
        self, tool_call: dict[str, Any], options: list[dict[str, str]]
    ) -> str | None:
        """Ask the client to choose one of ``options``; returns its ``optionId``.

        ``None`` when the client cancelled the question. Raises :class:`RequestError` when it
        answered with an error or with something the protocol does not allow.
        """
        answer = await self._peer.call(
            "session/request_permission",
            {"sessionId": self.session.id, "toolCall": tool_call, "options": options},
        )
        match answer:
            case {"outcome": {"outcome": "selected", "optionId": str(chosen)}}:
                return chosen
            case {"outcome": {"outcome": "cancelled"}}:
                return None
            case _:
                raise RequestError(INVALID_PARAMS, "the permission answer has no known outcome")

    async def _chunk(self, kind: str, text: str) -> None:
        await self.update({"sessionUpdate": kind, "content": {"type": "text", "text": text}})


def _texts(block: ContentBlock) -> Iterator[str]:
    match block:
        case {"type": "text", "text": str(text)}:
            yield text
        case {"type": "tool_result", "content": [*blocks]}:
            for inner in blocks:
                yield from _texts(inner)


class Agent(ABC):
    """An agent: its self-description and one turn. Instances serve all sessions at once."""

    name: str
    title: str
    images: bool = False
    """Whether image blocks in a prompt are understood."""
    tools: bool = False
    """Whether it can call tools of the client's."""
    options: tuple[str, ...] = ()
    """Names of the :class:`Options` that are honoured."""
    models: tuple[str, ...] = ()
    """Names of the models a session may choose from; the first is the default."""

    @abstractmethod
    async def answer(self, turn: Turn) -> Outcome:
        """Answer one prompt, streaming through ``turn``.

        A :class:`RequestError` becomes the error of the prompt. The task is cancelled when the
        client cancels the turn, closes the session or goes away.
        """

    def choose_model(self, session: Session, model: str) -> None:
        """Switch a session's model; raises :class:`RequestError` for an unknown one."""
        if model not in self.models:
            known = ", ".join(self.models)
            raise RequestError(INVALID_PARAMS, f"modelId {model!r} is not one of: {known}")
        session.model = model
