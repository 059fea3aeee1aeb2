"""What the routes of the OpenAI dialect share on the wire: ids, usage, errors, ignored fields."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from ...errors import (
    BackendError,
    BackendRefused,
    BackendUnavailable,
    ClinvkError,
    InvalidRequest,
    NotFound,
    RateLimited,
    TurnTimeout,
    Unauthorized,
)
from ...events import Usage
from ...intake import Approved
from ..dialect import IGNORED

NAMES: Mapping[str, str] = {
    "effort": "reasoning_effort",
    "max_tokens": "max_completion_tokens",
}
"""Neutral names of what a backend cannot honour, as this dialect calls them."""


RESPONSE_NAMES: Mapping[str, str] = {
    "effort": "reasoning.effort",
    "max_tokens": "max_output_tokens",
}
"""The same, as the Responses API calls them."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_NAMES = 32  # in the header: callers choose these names

_WITHOUT_MEANING: Mapping[str, Any] = {
    "modalities": ["text"],
    "parallel_tool_calls": True,
    "response_format": {"type": "text"},
    "tool_choice": "none",
    "verbosity": "medium",
}
"""Values that ask for nothing beyond what is done anyway."""


def new_id(prefix: str) -> str:
    """An id as OpenAI's look: ``chatcmpl-`` and 29 random characters."""
    return prefix + secrets.token_hex(15)[:29]


def chat_usage(usage: Usage) -> dict[str, Any]:
    """Usage of a chat or legacy completion."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def error_body(error: ClinvkError) -> dict[str, Any]:
    """``{"message", "type", "param", "code"}``, so that official SDKs raise what they should."""
    kind, code = _kind(error)
    return {"message": error.message, "type": kind, "param": error.param, "code": code}


def status_of(error: ClinvkError) -> int:
    """The HTTP status of an error: its own, except where OpenAI has another."""
    match error:
        case BackendRefused(param="model"):
            return NotFound.status
        case NotFound(param="previous_response_id"):
            return InvalidRequest.status
        case _:
            return error.status


def ignored_header(
    approved: Approved,
    body: BaseModel,
    *,
    guessed: bool,
    also: Iterable[str] = (),
    dialect: Mapping[str, str] = NAMES,
) -> dict[str, str]:
    """Names every field that was given and is not honoured.

    Args:
        guessed: the model's name meant nothing.
        also: declared fields that have no effect here.
        dialect: what this route calls the neutral names.
    """
    names = ["model"] if guessed else []
    names += [dialect.get(name, name) for name in approved.ignored]
    names += also
    names += [name for name, value in (body.model_extra or {}).items() if _asks(name, value)]
    shown = list(dict.fromkeys(names))[:_MOST_NAMES]
    return {IGNORED: ", ".join(shown)} if shown else {}


def _asks(name: str, value: Any) -> bool:
    """Whether an unknown field asks for something, and its name is fit for a header."""
    if value in (None, 0, "", [], {}, "auto", "default") or value == _WITHOUT_MEANING.get(name):
        return False
    return _NAME.fullmatch(name) is not None


def _kind(error: ClinvkError) -> tuple[str, str | None]:
    match error:
        case NotFound(param="model"):
            return "invalid_request_error", "model_not_found"
        case NotFound(param="previous_response_id"):
            return "invalid_request_error", "previous_response_not_found"
        case BackendRefused(param="model"):
            return "invalid_request_error", "model_not_found"
        case BackendRefused(param="prompt"):
            return "invalid_request_error", "context_length_exceeded"
        case Unauthorized():
            return "invalid_request_error", "invalid_api_key"
        case RateLimited():
            return "rate_limit_error", "rate_limit_exceeded"
        case BackendUnavailable() | BackendError() | TurnTimeout():
            return "server_error", error.code
        case ClinvkError(status=status) if status < 500:
            kind = "permission_error" if status == 403 else "invalid_request_error"
            return kind, None if error.code == "invalid_request" else error.code
        case _:
            return "server_error", error.code
