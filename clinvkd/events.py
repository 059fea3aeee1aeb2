"""What an agent tells during a turn, free of any vendor's vocabulary.

A turn yields any number of events and, when it succeeds, exactly one `Completed`, last.
Failure is not an event: it raises.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

StopReason: TypeAlias = Literal[
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "max_turns", "refusal", "interrupted"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one turn, summed over all its model calls; 0 where the agent does not tell.

    Attributes:
        input_tokens: all input, the cached part included.
        output_tokens: all output, reasoning included.
        cached_tokens: the part of the input read from the provider's cache.
        cache_write_tokens: the part of the input written to the provider's cache.
        reasoning_tokens: the part of the output that is reasoning.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """The agent took the turn: its own id of the conversation, and the model it will use."""

    agent_session_id: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """The next piece of the model's visible reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The agent calls one of its own tools."""

    id: str
    name: str
    input: Any = None


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """One of the agent's own tools answered."""

    id: str
    name: str
    output: str
    is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What an agent wants to do and may not do by itself.

    Attributes:
        tool: its own name of the tool, as in `ToolCall`.
        input: what the tool is to be called with, as far as the agent tells.
        summary: the same in one or few lines, for the person who decides.
        options: the answers the agent itself would offer a person, in its own words.
        call: id of the `ToolCall` it belongs to, where the agent tells it.
    """

    tool: str
    input: Any = None
    summary: str = ""
    options: tuple[str, ...] = ()
    call: str | None = None


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """The agent waits: whoever owns the turn decides whether it may act.

    Attributes:
        id: names the question to whoever decides; unique in the daemon, not to be guessed.
        expires_at: Unix time at which it is denied unless somebody has decided.
    """

    id: str
    action: Action
    expires_at: float


@dataclass(frozen=True, slots=True)
class ApprovalDecision:
    """A question of the agent's is decided.

    Attributes:
        id: that of the `ApprovalRequest`.
        allowed: whether the agent may act.
        by: the caller, the limit of time, or the agent, which waits for it no more.
        message: what the caller says about it, for the agent.
    """

    id: str
    allowed: bool
    by: Literal["caller", "limit", "agent"]
    message: str | None = None


@dataclass(frozen=True, slots=True)
class RequestStarted:
    """The model begins to call one of the caller's tools; `name` is the caller's."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class RequestArguments:
    """The next piece of the JSON text of that call's arguments."""

    id: str
    json: str


@dataclass(frozen=True, slots=True)
class Request:
    """The call is complete: the caller is to run the tool and to bring the result.

    After the last one the turn completes with `tool_use`.
    """

    id: str
    name: str
    input: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Progress:
    """The agent is alive and says what it does: `stage` is a short stable word."""

    stage: str
    message: str | None = None


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Usage of the turn so far."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Completed:
    """The turn ended well.

    Attributes:
        cost_usd: the agent's own estimate, or None.
        stop_sequence: the stop text that ended the answer, where it is known.
    """

    stop_reason: StopReason = "end_turn"
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True)
class MessagesApiEvent:
    """An event of the Messages API as the provider sent it, for callers who want it unchanged.

    It comes before the neutral events that say the same.
    """

    event: dict[str, Any]


Event: TypeAlias = (
    Opened
    | MessagesApiEvent
    | TextDelta
    | ThinkingDelta
    | ToolCall
    | ToolOutput
    | ApprovalRequest
    | ApprovalDecision
    | RequestStarted
    | RequestArguments
    | Request
    | Progress
    | TokenUsage
    | Completed
)
