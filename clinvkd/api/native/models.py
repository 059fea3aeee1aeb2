"""Bodies of the native API."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ...attribute_docs import described
from ...errors import InvalidRequest
from ...events import Usage
from ...intake import Asked
from ...prompt import (
    Approval,
    Audio,
    Block,
    Image,
    Message,
    OutputSchema,
    Sandbox,
    Text,
    Tool,
    ToolResult,
)
from ...sessions import Session
from ..schemas import answer_schema
from ..tools import checked_tools, tool_of

Limit = Annotated[int, Field(ge=0, le=2**31 - 1)]
OutputFormat = Literal["default", "text", "json", "stream-json"]


_BASE64 = r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"


class Body(BaseModel):
    """What is read or written by the native API: nothing it does not know is accepted."""

    model_config = ConfigDict(
        extra="forbid", strict=True, defer_build=True, json_schema_extra=described
    )


class TextPart(Body):
    """A piece of text."""

    type: Literal["text"]
    text: str


class ImagePart(Body):
    """An image in the request itself."""

    type: Literal["image"]
    media_type: Literal["image/png", "image/jpeg", "image/gif", "image/webp"]
    data: Annotated[str, Field(min_length=1, pattern=_BASE64)]
    """Standard base64."""


class AudioPart(Body):
    """A recording in the request itself."""

    type: Literal["audio"]
    media_type: Literal[
        "audio/wav", "audio/mp3", "audio/aiff", "audio/aac", "audio/ogg", "audio/flac"
    ]
    data: Annotated[str, Field(min_length=1, pattern=_BASE64)]
    """Standard base64."""


Part = Annotated[TextPart | ImagePart | AudioPart, Field(discriminator="type")]
Content = str | list[Part]
ResultPart = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class ToolDeclaration(Body):
    """A function of the caller's that the model may call."""

    name: str
    description: str = ""
    input_schema: dict[str, Any] | None = None
    """JSON Schema of its arguments."""


class ToolResultPart(Body):
    """What a call of the caller's tool gave."""

    tool_use_id: str
    content: str | list[ResultPart] = ""
    is_error: bool = False


class HistoryMessage(Body):
    """An earlier message of the conversation."""

    role: Literal["user", "assistant"]
    content: Content


class AgentOptions(Body):
    """How an agent works on a prompt; what is left out comes from the configuration."""

    model: str = ""
    """The agent's name of a model, or fast, balanced, best; empty for the agent's default."""

    workdir: str = ""
    """Absolute path of the directory to work in; empty for a private empty one."""

    approval_mode: Approval | Literal[""] = ""
    """What happens when the agent would ask before it acts."""

    sandbox_mode: Sandbox | Literal[""] = ""
    """Where the agent may write."""

    max_tokens: Limit = 0
    """Most tokens of the answer; 0 for the agent's own limit."""

    max_turns: Limit = 0
    """Most rounds of the agent's own tool loop; 0 for the agent's own limit."""

    system_prompt: str = ""
    """Replaces the agent's own system prompt."""

    verbose: bool = False
    """Accepted for compatibility; the events already tell everything."""

    extra: list[str] = Field(default_factory=list)
    """Further options as ``--name=value``, from the backend's allow-list."""

    def asked_of(self, backend: str | None, messages: tuple[Message, ...]) -> Asked:
        """A request with these options, free of this dialect."""
        return Asked(
            messages=messages,
            backend=backend,
            model=self.model or None,
            system=self.system_prompt or None,
            workdir=self.workdir or None,
            approval=self.approval_mode or None,
            sandbox=self.sandbox_mode or None,
            max_tokens=self.max_tokens or None,
            max_turns=self.max_turns or None,
            extra=tuple(self.extra),
        )


class Prompting(AgentOptions):
    """One prompt to one agent, alone or as one of several."""

    prompt: Content | None = None
    """What the agent is asked: a text, or a list of text, image and audio parts. Required, unless
    there are tool results."""

    tools: list[ToolDeclaration] = Field(default_factory=list)
    """Functions of the caller's: a turn that calls them ends with `stop_reason` `tool_use`."""

    tool_results: list[ToolResultPart] = Field(default_factory=list)
    """What the calls of the session's last answer gave."""

    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    """JSON Schema that the answer, one JSON value, must fit."""

    backend: str | None = None
    """Name of a configured backend; the default backend when left out."""

    session_id: str | None = None
    """Continue this session: on the agent that holds it, else on one that is given its history."""

    messages: list[HistoryMessage] = Field(default_factory=list)
    """Earlier messages, given to the agent natively before the prompt."""

    ephemeral: bool = False
    """Keep nothing of it."""

    metadata: dict[str, str] = Field(default_factory=dict)
    """Kept with the session."""

    def asked(self, session: Session | None) -> Asked:
        """The request free of this dialect; what it leaves open comes from the session.

        Raises:
            InvalidRequest: it brings a history of its own for a session that has one.
        """
        new = self._new()
        if session is None:
            history = tuple(Message(m.role, _blocks(m.content)) for m in self.messages)
            return self._asked((*history, new), self.backend)
        if self.messages:
            raise InvalidRequest(
                "messages cannot be given with session_id: the session holds the history",
                param="messages",
            )
        before = session.prompt
        same_backend = self.backend in (None, before.backend)
        approval, sandbox = before.permissions.approval, before.permissions.sandbox
        asked = self._asked((*session.messages, new), self.backend or before.backend)
        workdir = str(before.workdir) if before.workdir else None
        return replace(
            asked,
            model=asked.model or (before.model if same_backend else None),
            system=asked.system or before.system,
            workdir=asked.workdir or workdir,
            # On another backend `default` would replace what is configured for that one.
            approval=asked.approval
            or (approval if same_backend or approval != "default" else None),
            sandbox=asked.sandbox or (sandbox if same_backend or sandbox != "default" else None),
            tools=asked.tools or before.tools,
        )

    def _new(self) -> Message:
        """The message of this turn: results first, then what is asked."""
        if self.prompt is None and not self.tool_results:
            raise InvalidRequest("prompt is required", param="prompt")
        results = tuple(
            ToolResult(
                result.tool_use_id,
                tuple(b for b in _blocks(result.content) if isinstance(b, Text | Image)),
                result.is_error,
            )
            for result in self.tool_results
        )
        return Message("user", (*results, *_blocks(self.prompt or "")))

    def _declared(self) -> tuple[Tool, ...]:
        return checked_tools(
            tool_of(tool.name, tool.description, tool.input_schema, f"tools[{index}]")
            for index, tool in enumerate(self.tools)
        )

    def _asked(self, messages: tuple[Message, ...], backend: str | None) -> Asked:
        return replace(
            self.asked_of(backend, messages),
            tools=self._declared(),
            output=OutputSchema(answer_schema(self.schema_, "schema")) if self.schema_ else None,
            ephemeral=self.ephemeral,
        )


class OperationRequest(Body):
    """What can be answered as one object, as a stream, and as a job."""

    output_format: OutputFormat | Literal[""] = ""
    """``stream-json`` streams; otherwise the answer is one JSON object. A caller who accepts
    ``text/event-stream`` or ``application/x-ndjson`` gets a stream, too."""

    dry_run: bool = False
    """Answer with what would be started and sent; run nothing."""

    background: bool = False
    """Answer at once with a job that runs without a caller."""


class PromptRequest(Prompting, OperationRequest):
    """One prompt to one agent."""


class PromptAnswer(Body):
    """The whole answer of an agent; members without a value are left out."""

    session_id: str | None = None
    backend: str
    model: str | None = None
    exit_code: int = 0
    duration_ms: int
    output: str
    error: str | None = None
    """Why it failed, of one prompt of several."""
    error_code: str | None = None
    stop_reason: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    token_usage: dict[str, int] | None = None
    cost_usd: float | None = None
    agent_session_id: str | None = None


class BackendAnswer(Body):
    """A backend, and whether it can be used."""

    name: str
    available: bool
    reason: str | None = None
    """Why it is not available."""
    version: str | None = None
    """What the agent told of itself, once it was started."""


class BackendsAnswer(Body):
    """All enabled backends, in the order of the configuration."""

    backends: list[BackendAnswer]


class DryRunAnswer(Body):
    """What would be done."""

    backend: str
    dry_run: Literal[True] = True
    exit_code: int = 0
    duration_ms: int = 0
    output: str
    command: list[str]
    """The command line of the agent's process."""
    workdir: str
    """Where it would run."""
    lines: list[dict[str, JsonValue]]
    """The protocol messages that would be written to its stdin, in order."""


def usage_content(usage: Usage) -> dict[str, int]:
    """Token counts as the native API tells them; zero details are left out."""
    content: dict[str, Any] = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
    }
    details = {
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }
    return content | {name: count for name, count in details.items() if count}


def _blocks(content: Content | list[ResultPart]) -> tuple[Block, ...]:
    if isinstance(content, str):
        return (Text(content),)
    return tuple(_block(part) for part in content)


def _block(part: Part) -> Block:
    match part:
        case TextPart():
            return Text(part.text)
        case ImagePart():
            return Image(part.media_type, part.data)
        case AudioPart():
            return Audio(part.media_type, part.data)
