"""What the OpenAI dialect answers with, for the OpenAPI document; tests compare real answers.

Members that are always the same null are typed as such: an SDK reads them, nobody needs them.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict


class ErrorContent(TypedDict):
    """Why something failed."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(TypedDict):
    """The body of every error response."""

    error: ErrorContent


class Model(TypedDict):
    """A backend, or one of its models as ``backend/model``."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(TypedDict):
    """What can be asked."""

    object: Literal["list"]
    data: list[Model]


class ChatUsage(TypedDict):
    """Tokens of all choices."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int]
    completion_tokens_details: dict[str, int]


class FunctionOfCall(TypedDict):
    """What is called; the arguments are JSON text, in a stream the next piece of it."""

    name: NotRequired[str]
    arguments: str


class ChatToolCall(TypedDict):
    """A call of one of the caller's functions; in a stream what is new of it."""

    index: NotRequired[int]
    id: NotRequired[str]
    type: NotRequired[Literal["function", "custom"]]
    function: NotRequired[FunctionOfCall]


class ChatAnswer(TypedDict):
    """A message of the assistant."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    reasoning_content: NotRequired[str]
    tool_calls: NotRequired[list[ChatToolCall]]
    function_call: NotRequired[FunctionOfCall]


Finish = Literal["stop", "length", "content_filter", "tool_calls", "function_call"]


class ChatChoice(TypedDict):
    """One answer."""

    index: int
    message: ChatAnswer
    logprobs: None
    finish_reason: Finish


class ChatCompletion(TypedDict):
    """A whole chat completion."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage
    system_fingerprint: str | None


class ChatDelta(TypedDict):
    """What is new of a message."""

    role: NotRequired[Literal["assistant"]]
    content: NotRequired[str | None]
    refusal: NotRequired[str | None]
    reasoning_content: NotRequired[str]
    tool_calls: NotRequired[list[ChatToolCall]]
    function_call: NotRequired[FunctionOfCall]


class ChatChunkChoice(TypedDict):
    """What is new of one answer."""

    index: int
    delta: ChatDelta
    logprobs: None
    finish_reason: Finish | None


class ChatChunk(TypedDict):
    """One event of a streamed chat completion; after the last of them comes ``[DONE]``."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChatChunkChoice]
    usage: NotRequired[ChatUsage | None]
    system_fingerprint: str | None


class TextChoice(TypedDict):
    """One text, or what is new of it."""

    index: int
    text: str
    logprobs: None
    finish_reason: Finish | None


class TextCompletion(TypedDict):
    """A legacy completion, or one event of it; after the last event comes ``[DONE]``."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: NotRequired[ChatUsage | None]
    system_fingerprint: str | None


class ResponseUsage(TypedDict):
    """Tokens of a response."""

    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


class OutputItem(TypedDict):
    """A message, a call or a summary of reasoning; which members it has depends on its type."""

    id: str
    type: Literal["message", "reasoning", "function_call", "custom_tool_call"]
    status: NotRequired[str]
    role: NotRequired[Literal["assistant"]]
    content: NotRequired[list[dict[str, Any]]]
    summary: NotRequired[list[dict[str, Any]]]
    call_id: NotRequired[str]
    name: NotRequired[str]
    arguments: NotRequired[str]
    input: NotRequired[str]


class ResponseError(TypedDict):
    """Why a response failed."""

    code: str
    message: str


@with_config(use_attribute_docstrings=True)
class Response(TypedDict):
    """A response; what the request said comes back in members that are not listed here."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    background: bool
    error: ResponseError | None
    incomplete_details: dict[str, str] | None
    """Why it is incomplete."""
    instructions: str | None
    metadata: dict[str, str]
    model: str
    output: list[OutputItem]
    previous_response_id: str | None
    store: bool
    usage: ResponseUsage | None


ResponseEventType = Literal[
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.output_item.done",
    "response.content_part.added",
    "response.content_part.done",
    "response.output_text.delta",
    "response.output_text.done",
    "response.reasoning_summary_part.added",
    "response.reasoning_summary_part.done",
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.custom_tool_call_input.delta",
    "response.custom_tool_call_input.done",
    "response.completed",
    "response.incomplete",
    "response.failed",
    "error",
]


class ResponseEvent(TypedDict):
    """One event of a streamed response; which members it has depends on its type."""

    type: ResponseEventType
    sequence_number: int
    response: NotRequired[Response]
    output_index: NotRequired[int]
    item: NotRequired[OutputItem]
    item_id: NotRequired[str]
    content_index: NotRequired[int]
    summary_index: NotRequired[int]
    part: NotRequired[dict[str, Any]]
    delta: NotRequired[str]
    text: NotRequired[str]
    message: NotRequired[str]


class DeletedResponse(TypedDict):
    """What was deleted."""

    id: str
    object: Literal["response"]
    deleted: Literal[True]


class ItemList(TypedDict):
    """A page of input items."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool
