"""What the routes of the Anthropic dialect share on the wire: ids, usage, errors."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from ...errors import BackendUnavailable, ClinvkError, ShuttingDown
from ...events import StopReason, Usage

NAMES: Mapping[str, str] = {
    "effort": "output_config.effort",
    "thinking_tokens": "thinking",
}
"""Neutral names of what a backend cannot honour, as this dialect calls them."""

STOP_REASONS: Mapping[StopReason, str] = {
    "end_turn": "end_turn",
    "stop_sequence": "stop_sequence",
    "max_tokens": "max_tokens",
    "tool_use": "tool_use",
    "max_turns": "pause_turn",
    "refusal": "refusal",
    "interrupted": "end_turn",
}

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def new_id() -> str:
    """A message id as Anthropic's look."""
    return "msg_" + secrets.token_hex(12)


def usage_of(usage: Usage) -> dict[str, Any]:
    """Usage as the Messages API tells it: the cached part of the input apart."""
    cached, written = usage.cached_tokens, usage.cache_write_tokens
    return {
        "input_tokens": max(0, usage.input_tokens - cached - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


def status_of(error: ClinvkError) -> int:
    """The HTTP status: what is busy is overloaded here (529), so that SDKs try again."""
    match error:
        case BackendUnavailable(retry_after=int()) | ShuttingDown():
            return 529
        case _:
            return error.status


def error_object(error: ClinvkError) -> dict[str, Any]:
    """``{"type", "message"}`` and, where there are any, ``details``."""
    message = error.message
    if error.param is not None and not message.startswith(error.param):
        message = f"{error.param}: {message}"  # this dialect has no member for it
    told: dict[str, Any] = {
        "type": _KINDS.get(status_of(error), "api_error"),
        "message": message,
    }
    if error.details is not None:
        told["details"] = dict(error.details)
    return told
