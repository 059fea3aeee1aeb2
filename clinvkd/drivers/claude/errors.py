"""What a failed turn of Claude Code means.

An API failure is a `result` of subtype `success` with `is_error`; its kind stands in the synthetic
`assistant` line before it, its HTTP status in `api_error_status` (null when there was no answer).
"""

from __future__ import annotations

import re

from ...errors import BackendError, BackendRefused, BackendUnavailable, ClinvkError, RateLimited
from ..base import Json

_LONGEST = 500
_KEY = re.compile(r"\bsk-[\w-]+")
_LOGIN = (
    "run `claude` and then /login as the user clinvk runs as, or set ANTHROPIC_API_KEY for the"
    " daemon"
)


def failure_of(result: Json, kind: str | None, *, streaming: bool) -> ClinvkError:
    """The error to raise for a `result` that reports one.

    Args:
        result: the line as it came.
        kind: the `error` of the synthetic assistant message, or None.
        streaming: whether the provider had begun to answer.
    """
    told = _told(result)
    match result.get("terminal_reason"), kind, result.get("api_error_status"):
        case "prompt_too_long" | "blocking_limit" | "image_error", _, _:
            return BackendRefused(told, param="prompt")
        case (_, "authentication_failed" | "oauth_org_not_allowed", _) | (_, _, 401 | 403):
            return BackendUnavailable(f"claude is not logged in ({told}): {_LOGIN}")
        case _, "billing_error", _:
            return BackendUnavailable(told)
        case (_, "model_not_found", _) | (_, _, 404):
            return BackendRefused(told, param="model")
        case (_, "rate_limit", _) | (_, _, 429):
            return RateLimited(told)
        case _, _, 503 | 529:
            return BackendUnavailable(told)
        case _, "server_error", None if not streaming:
            return BackendUnavailable(told)
        case _, "server_error", None:
            return BackendError(f"the answer's stream ended early: {told}")
        case (_, "invalid_request", _) | (_, _, 400 | 413 | 422):
            return BackendRefused(told)
    return BackendError(told)


def _told(result: Json) -> str:
    match result:
        case {"result": str(text)} if text:
            pass
        case {"errors": [*errors]} if errors:
            text = "; ".join(str(error) for error in errors)
        case _:
            text = f"claude ended the turn with {result.get('subtype')}"
    text = _KEY.sub("[key]", text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
