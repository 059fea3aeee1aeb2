"""What the events of the native API hold, by their types; see `encoder` for how they are made.

The OpenAPI document is made of these, and the tests compare them with real streams.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from .workflow_models import ChainAnswer, CompareAnswer, ParallelAnswer


class TokenCounts(TypedDict):
    """Tokens of a turn; the last three are parts of the first two and left out when 0."""

    input_tokens: int
    output_tokens: int
    cached_tokens: NotRequired[int]
    cache_write_tokens: NotRequired[int]
    reasoning_tokens: NotRequired[int]


class ErrorContent(TypedDict):
    """Why something failed."""

    code: str
    message: str
    param: str | None
    type: str


class ErrorBody(TypedDict):
    """The body of every error response."""

    error: ErrorContent


@with_config(use_attribute_docstrings=True)
class _Event(TypedDict):
    backend: str
    """Who answers."""
    session_id: NotRequired[str]
    """The session; missing with `ephemeral`."""
    timestamp: str
    """UTC, with milliseconds."""
    sequence: int
    """1, 2, 3 ... in this stream."""
    task: NotRequired[int]
    """Of several tasks, the place of the one this is about."""
    step: NotRequired[int]
    """Of a chain, the number of the step this is about, from 1."""
    name: NotRequired[str]
    """What the step is called."""
    index: NotRequired[int]
    """Of several backends, the place of the one this is about."""
    judge: NotRequired[bool]
    """It is about the judge."""


class InitContent(TypedDict):
    """What the agent tells of itself."""

    model: NotRequired[str]
    backend_session_id: NotRequired[str]
    working_dir: NotRequired[str]


class InitEvent(_Event):
    """The agent took the prompt."""

    type: Literal["init"]
    content: InitContent


class TextContent(TypedDict):
    """A piece of text."""

    text: str


class MessageEvent(_Event):
    """The next piece of the answer."""

    type: Literal["message"]
    content: TextContent


class ThinkingEvent(_Event):
    """The next piece of the visible reasoning."""

    type: Literal["thinking"]
    content: TextContent


class ToolUseContent(TypedDict):
    """A call."""

    tool_id: str
    tool_name: str
    input: Any


class ToolUseEvent(_Event):
    """The agent uses a tool, or calls one of the caller's."""

    type: Literal["tool_use"]
    content: ToolUseContent


class ToolResultContent(TypedDict):
    """What a call gave."""

    tool_id: str
    tool_name: str | None
    output: str
    is_error: bool


class ToolResultEvent(_Event):
    """What one of the agent's own tools gave."""

    type: Literal["tool_result"]
    content: ToolResultContent


class ApprovalRequestContent(TypedDict):
    """What the agent wants to do."""

    approval_id: str
    tool_id: NotRequired[str]
    tool_name: NotRequired[str]
    input: NotRequired[Any]
    summary: NotRequired[str]
    options: list[str]
    expires_at: str


class ApprovalRequestEvent(_Event):
    """The agent asks before it acts."""

    type: Literal["approval_request"]
    content: ApprovalRequestContent


class ApprovalDecisionContent(TypedDict):
    """What was decided."""

    approval_id: str
    decision: Literal["allow", "deny"]
    by: NotRequired[str]
    message: NotRequired[str]


class ApprovalDecisionEvent(_Event):
    """What the agent asked is decided."""

    type: Literal["approval_decision"]
    content: ApprovalDecisionContent


class ProgressContent(TypedDict):
    """What the agent does."""

    stage: str
    message: NotRequired[str]


class ProgressEvent(_Event):
    """The agent is alive."""

    type: Literal["progress"]
    content: ProgressContent


class TokenUsageEvent(_Event):
    """Usage of the turn so far."""

    type: Literal["token_usage"]
    content: TokenCounts


class CompleteContent(TypedDict):
    """How it ended; after an error without reason and usage."""

    exit_code: int
    stop_reason: NotRequired[str]
    duration_ms: int
    token_usage: NotRequired[TokenCounts]
    cost_usd: NotRequired[float]


class CompleteEvent(_Event):
    """The end of a prompt."""

    type: Literal["complete"]
    content: CompleteContent


class ErrorEvent(TypedDict):
    """It failed after the stream had begun; without a backend, all of it failed."""

    type: Literal["error"]
    backend: NotRequired[str]
    content: ErrorContent


class ResultEvent(TypedDict):
    """The whole answer to several prompts, at the end."""

    type: Literal["result"]
    timestamp: str
    sequence: int
    content: ParallelAnswer | ChainAnswer | CompareAnswer


PromptEvent = Annotated[
    InitEvent
    | MessageEvent
    | ThinkingEvent
    | ToolUseEvent
    | ToolResultEvent
    | ApprovalRequestEvent
    | ApprovalDecisionEvent
    | ProgressEvent
    | TokenUsageEvent
    | CompleteEvent
    | ErrorEvent,
    Field(discriminator="type"),
]
"""One event of a prompt's stream."""

LaneEvent = Annotated[PromptEvent | ResultEvent, Field(discriminator="type")]
"""One event of a stream of several prompts."""
