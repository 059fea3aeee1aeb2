"""What the Anthropic dialect answers with, for the OpenAPI document; tests compare real answers."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict


class ErrorContent(TypedDict):
    """Why something failed."""

    type: str
    message: str
    details: NotRequired[dict[str, Any]]


class ErrorBody(TypedDict):
    """The body of every error response."""

    type: Literal["error"]
    error: ErrorContent
    request_id: str


class Model(TypedDict):
    """A backend, or one of its models as ``backend/model``."""

    type: Literal["model"]
    id: str
    display_name: str
    created_at: str
    lifecycle: str


class ModelList(TypedDict):
    """A page of what can be asked."""

    data: list[Model]
    has_more: bool
    first_id: str | None
    last_id: str | None


class TokenCount(TypedDict):
    """About how many tokens a message would send."""

    input_tokens: int


class MessageUsage(TypedDict):
    """Tokens of a message; the cached part of the input is told apart."""

    input_tokens: NotRequired[int]
    cache_creation_input_tokens: NotRequired[int | None]
    cache_read_input_tokens: NotRequired[int | None]
    output_tokens: int


class ContentBlock(TypedDict):
    """A piece of a message; which members it has depends on its type."""

    type: str
    text: NotRequired[str]
    thinking: NotRequired[str]
    signature: NotRequired[str]
    id: NotRequired[str]
    name: NotRequired[str]
    input: NotRequired[Any]


class Message(TypedDict):
    """A message of the assistant."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[ContentBlock]
    stop_reason: str | None
    stop_sequence: str | None
    usage: MessageUsage


class MessageEvent(TypedDict):
    """One event of a streamed message; which members it has depends on its type."""

    type: Literal[
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "ping",
        "error",
    ]
    message: NotRequired[Message]
    index: NotRequired[int]
    content_block: NotRequired[ContentBlock]
    delta: NotRequired[dict[str, Any]]
    usage: NotRequired[MessageUsage]
    error: NotRequired[ErrorContent]
    request_id: NotRequired[str]
