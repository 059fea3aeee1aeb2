"""The error body that OpenAI's Responses and chat completions APIs share."""

from __future__ import annotations

from .recording import JsonObject
from .script import Failure

_CODES: dict[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
    500: ("server_error", None),
    503: ("server_error", "server_is_overloaded"),
}
"""Status to type and code."""


def openai_error(failure: Failure) -> JsonObject:
    """The body of an HTTP error; `Failure.kind` is the code."""
    kind, code = _CODES.get(failure.status, ("server_error", None))
    return {
        "error": {
            "message": failure.text,
            "type": kind,
            "param": None,
            "code": failure.kind or code,
        }
    }
