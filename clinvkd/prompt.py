"""What a caller asks, free of any vendor's vocabulary.

A dialect decodes a request into one `Prompt`; drivers translate it into an agent's protocol.
The canonical history (`Message` and its blocks) is also what sessions keep, so a conversation
can be given to any agent natively, whichever dialect it came through.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic_core import to_json

Role: TypeAlias = Literal["user", "assistant"]
Approval: TypeAlias = Literal["default", "auto", "none", "always", "ask"]
Sandbox: TypeAlias = Literal["default", "read-only", "workspace", "full"]
OptionValue: TypeAlias = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text, any Unicode except lone surrogates and NUL."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image given in the request itself.

    Attributes:
        media_type: ``image/png``, ``image/jpeg``, ``image/gif`` or ``image/webp``.
        data: the bytes in standard base64.
    """

    media_type: str
    data: str


@dataclass(frozen=True, slots=True)
class Audio:
    """A recording given in the request itself.

    Attributes:
        media_type: ``audio/wav``, ``audio/mp3``, ``audio/aiff``, ``audio/aac``, ``audio/ogg`` or
            ``audio/flac``.
        data: the bytes in standard base64.
    """

    media_type: str
    data: str


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call the assistant made in an earlier turn; `input` is a JSON object."""

    id: str
    name: str
    input: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call of an earlier turn gave."""

    tool_use_id: str
    content: tuple[Text | Image, ...]
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """A document given in the request itself.

    Attributes:
        media_type: ``application/pdf`` or ``text/plain``.
        data: base64 of a PDF, or the text itself.
        title: what the caller calls it, or None.
    """

    media_type: Literal["application/pdf", "text/plain"]
    data: str
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Thinking:
    """Reasoning of an earlier answer, handed back to the model that made it.

    It is no part of what identifies a conversation: callers may leave it out.

    Attributes:
        text: the visible reasoning; empty when it is redacted.
        signature: what proves to the provider that it is its own; opaque.
        redacted: `signature` is the encrypted reasoning.
    """

    text: str
    signature: str
    redacted: bool = False


Block: TypeAlias = Text | Image | Audio | Document | Thinking | ToolUse | ToolResult


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Tool results stand in user messages and tool uses in assistant messages.
    """

    role: Role
    content: tuple[Block, ...]

    @property
    def text(self) -> str:
        """All text of the message, joined without separator."""
        return "".join(block.text for block in self.content if isinstance(block, Text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """What the agent may do on the machine in this conversation.

    Attributes:
        tools: whether the agent's own tools (shell, files, web) are on at all.
        approval: what happens when the agent asks before it acts.
            ``default``: the agent's own rules, and what it would ask a person is refused;
            ``auto``: edits are allowed, the rest as default; ``none``: never asked, everything
            the sandbox permits is allowed; ``always``: everything is asked, so refused;
            ``ask``: the caller is asked, within what the sandbox permits.
        sandbox: where it may write: nowhere, in the workdir, everywhere, or as the agent has it.
        allowed_tools: names of the agent's tools that are allowed without asking.
        trusted: files in the workdir may configure the agent (hooks, MCP servers, settings).
    """

    tools: bool = False
    approval: Approval = "default"
    sandbox: Sandbox = "default"
    allowed_tools: tuple[str, ...] = ()
    trusted: bool = False

    @property
    def asks(self) -> bool:
        """Whether somebody has to be there who decides what the agent may do."""
        return self.tools and self.approval == "ask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the model chooses its words; None leaves it to the agent.

    Attributes:
        temperature: from 0, the higher the more random.
        top_p: probability mass that tokens are drawn from, 0 to 1.
        top_k: how many of the likeliest tokens are drawn from.
        seed: of the random choice.
        stop: texts before which the answer ends.
        thinking_tokens: most tokens of reasoning; 0 switches it off.
        effort: how much the model thinks first (``minimal``, ``low``, ``medium``, ``high``, ...).
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    thinking_tokens: int | None = None
    effort: str | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A function of the caller's that the model may call.

    Attributes:
        name: 1 to 128 letters, digits, `_` and `-`.
        description: what it does, for the model.
        schema: JSON Schema of its arguments, an object.
    """

    name: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether the model has to call a tool.

    Attributes:
        mode: ``auto`` as it likes, ``none`` not at all, ``required`` at least one, ``named`` the
            one in `name`.
        parallel: it may call several at once.
    """

    mode: Literal["auto", "none", "required", "named"] = "auto"
    name: str = ""
    parallel: bool = True


@dataclass(frozen=True, slots=True)
class OutputSchema:
    """The answer is to be one JSON value that this JSON Schema accepts.

    Attributes:
        schema: a JSON Schema object; ``{"type": "object"}`` asks for any JSON object.
        name: what the caller calls it.
    """

    schema: dict[str, Any]
    name: str = "answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One request to an agent.

    Attributes:
        backend: name of a configured backend.
        messages: the conversation so far and, last, the new user message; never empty.
        system: the system prompt, or None for the agent's own.
        model: the agent's name of a model, or None for the agent's default.
        workdir: an approved absolute directory, or None for a private empty one.
        max_tokens: most tokens of one answer, or None.
        max_turns: most rounds of the agent's own tool loop, or None.
        sampling: how the model chooses its words; may change from turn to turn.
        output: the form of the answer, or None for free text.
        tools: the caller's functions; a turn that calls them ends with the calls, and the next
            one brings the results.
        tool_choice: whether they have to be called; may change from turn to turn.
        options: further settings from the backend's allow-list, by name, sorted.
        raw_events: the caller wants the provider's own Messages-API events too, where the agent
            passes them on.
        ephemeral: nothing of it may be kept, on the agent's disk neither.
        client: who asks; a conversation is only ever continued for the same client.
        trace: `traceparent` and `tracestate` (W3C Trace Context) for agents that take them; it says
            nothing of what is asked, and is not kept.
    """

    backend: str
    messages: tuple[Message, ...]
    system: str | None = None
    model: str | None = None
    workdir: Path | None = None
    permissions: Permissions = field(default_factory=Permissions)
    max_tokens: int | None = None
    max_turns: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    output: OutputSchema | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    options: tuple[tuple[str, OptionValue], ...] = ()
    raw_events: bool = False
    ephemeral: bool = False
    client: str = ""
    trace: tuple[tuple[str, str], ...] = ()

    @property
    def history(self) -> tuple[Message, ...]:
        """The messages before the new ones of this turn."""
        return self.messages[: self._first_new()]

    @property
    def new(self) -> tuple[Message, ...]:
        """The messages of this turn: the user messages after the last assistant message."""
        return self.messages[self._first_new() :]

    def option(self, name: str) -> OptionValue | None:
        """The value of an option, or None when the caller did not give it."""
        return dict(self.options).get(name)

    def key(self, messages: tuple[Message, ...]) -> str:
        """Name of the conversation that holds exactly `messages` under this prompt's binding.

        Two prompts get the same key only if a conversation made for one may continue for the
        other: same client, backend, workdir, permissions, system prompt, model and output form.
        Effort and options are part of it because some agents keep them for later turns; what
        every agent can change from turn to turn (`max_tokens`, other sampling) is not. A call
        that names the default of its tool's schema equals one that leaves it out.
        """
        binding = (
            self.client,
            self.backend,
            str(self.workdir),
            self.permissions,
            self.system,
            self.model,
            self.output,
            self.tools,
            self.sampling.effort,
            self.options,
            self.ephemeral,
        )
        history = merged(_without_defaults(messages, self.tools))
        return hashlib.sha256(to_json([binding, history])).hexdigest()

    def _first_new(self) -> int:
        for index in range(len(self.messages), 0, -1):
            if self.messages[index - 1].role == "assistant":
                return index
        return 0


def merged(messages: tuple[Message, ...]) -> list[tuple[str, list[Block]]]:
    """Messages in the one form that compares equal however a caller split the text."""
    joined: list[tuple[str, list[Block]]] = []
    for message in messages:
        if not joined or joined[-1][0] != message.role:
            joined.append((message.role, []))
        blocks = joined[-1][1]
        for block in message.content:
            match block, blocks[-1] if blocks else None:
                case Text("") | Thinking(), _:
                    pass
                case ToolUse(identity, name, arguments), _:
                    # Callers write the arguments anew: the order of members says nothing.
                    in_order = json.loads(json.dumps(arguments, sort_keys=True))
                    blocks.append(ToolUse(identity, name, in_order))
                case Text(text), Text(before):
                    blocks[-1] = Text(before + text)
                case _:
                    blocks.append(block)
    return joined


def _without_defaults(
    messages: tuple[Message, ...], tools: tuple[Tool, ...]
) -> tuple[Message, ...]:
    """Messages whose calls leave out what is the default anyway.

    Programs that check a call against its schema send it back with the defaults filled in.
    """
    schemas = {tool.name: tool.schema for tool in tools if b'"default"' in to_json(tool.schema)}
    if not schemas:
        return messages
    return tuple(
        Message(
            message.role,
            tuple(
                ToolUse(block.id, block.name, _pruned(block.input, schemas[block.name]))
                if isinstance(block, ToolUse) and block.name in schemas
                else block
                for block in message.content
            ),
        )
        for message in messages
    )


def _pruned(value: Any, schema: object) -> Any:
    """A JSON value without the members that equal their default in `schema`, at any depth."""
    match value, schema:
        case dict(), {"properties": dict(properties)}:
            return {
                name: _pruned(member, properties.get(name))
                for name, member in value.items()
                if not _is_default(member, properties.get(name))
            }
        case list(), {"items": items}:
            return [_pruned(element, items) for element in value]
    return value


def _is_default(value: object, schema: object) -> bool:
    match schema:
        case {"default": default}:
            return to_json(value) == to_json(default)  # in JSON, unlike here, 0 is not false
    return False
