"""What went wrong in codex, as errors a caller can act on.

codex tells a failed turn by `codexErrorInfo`, a word or an object around an HTTP status, and by a
text that may quote the provider; both were measured with 0.169 against every status a provider
can give.
"""

from __future__ import annotations

import math
import re
from typing import Any

from pydantic_core import from_json

from ...errors import (
    BackendError,
    BackendRefused,
    BackendUnavailable,
    ClinvkError,
    RateLimited,
)
from ...events import StopReason
from ..base import Json
from ..jsonrpc import RpcError

LOGIN_HINT = "log in with `codex login`, or correct the key of its model provider"

_OVERLOADED = -32001
_LONGEST = 500
_SECRETS = re.compile(r"\b(?:sk-|sess-|Bearer\s+)[^\s,;\"']+")
_ADDRESS = re.compile(r",? \(?url: .*", re.DOTALL)
_TRY_AGAIN = re.compile(r"try again in (?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)(ms|s))?", re.IGNORECASE)
_CUT_SHORT: dict[str, StopReason] = {
    "Incomplete response returned, reason: max_output_tokens": "max_tokens",
    "Incomplete response returned, reason: content_filter": "refusal",
}


def cut_short(error: Json) -> StopReason | None:
    """Why the provider ended an answer before its end, if that is what codex calls a failure."""
    text = str(error.get("message", ""))
    return next((reason for end, reason in _CUT_SHORT.items() if text.endswith(end)), None)


def turn_error(error: Json) -> ClinvkError:
    """The failure of a turn, from the `error` object of `turn/completed`."""
    text = str(error.get("message", ""))
    match error.get("codexErrorInfo"):
        case str(word):
            return _by_word(word, text)
        case {"httpConnectionFailed": {"httpStatusCode": None}}:
            return BackendUnavailable(f"codex cannot reach its model provider: {told(text)}")
        case dict(info):
            statuses = (
                detail.get("httpStatusCode") for detail in info.values() if isinstance(detail, dict)
            )
            return _by_status(next(statuses, None), text)
        case _:
            return _by_text(text)


def call_error(error: RpcError) -> ClinvkError:
    """The failure of a call to the app-server itself."""
    match error.code, error.data:
        case _, {"input_error_code": "input_too_large"}:
            return BackendRefused(f"codex: {told(error.message)}", param="prompt")
        case code, _ if code == _OVERLOADED:
            return BackendUnavailable(f"codex is overloaded: {told(error.message)}", retry_after=1)
        case _, {"reason": "serverShuttingDown"}:
            return BackendUnavailable("codex is shutting down", retry_after=1)
        case _:
            return BackendError(f"codex: {told(error.message)}")


def start_error(error: RpcError) -> ClinvkError:
    """Why a thread was not started: for a tool's name or schema, or by no fault of the caller's.

    Only schemas hold numbers that are not ours; codex takes none over 64 bits.
    """
    if "dynamic tool" in error.message or "invalid type: integer" in error.message:
        return BackendRefused(f"codex: {told(error.message)}", param="tools")
    return BackendUnavailable(f"codex could not start a thread: {told(error.message)}")


def told(text: str) -> str:
    """A text of codex fit to be shown: no addresses, nothing that looks like a key, bounded."""
    text = _SECRETS.sub("[redacted]", _ADDRESS.sub("", text)).strip()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _by_word(word: str, text: str) -> ClinvkError:
    match word:
        case "contextWindowExceeded":
            return BackendRefused(
                "the conversation is longer than the model's context window", param="prompt"
            )
        case "modelNotFound":
            return BackendRefused(f"codex: {told(text)}", param="model")
        case "rateLimitExceeded" | "usageLimitExceeded":
            return RateLimited(f"codex: {told(text)}", retry_after=_retry_after(text))
        case "serverOverloaded" | "flexUnavailable" | "policyCapacityUnavailable":
            return BackendUnavailable(f"codex: {told(text)}", retry_after=_retry_after(text))
        case "unauthorized":
            return _credentials_refused(text)
        case (
            "badRequest"
            | "cyberPolicy"
            | "misalignmentPolicyViolation"
            | "inferenceHookDenied"
            | "sessionBudgetExceeded"
            | "tooManyDenials"
        ):
            return BackendRefused(f"codex: {told(text)}")
        case "internalServerError":
            return BackendError(f"the model provider of codex failed: {told(text)}")
        case _:
            return _by_text(text)


def _by_status(status: Any, text: str) -> ClinvkError:
    match status:
        case 401 | 403:
            return _credentials_refused(text)
        case 404:
            return BackendRefused(f"codex: {told(text)}", param="model")
        case 413:
            return BackendRefused(f"codex: {told(text)}", param="prompt")
        case 429:
            return RateLimited(f"codex: {told(text)}", retry_after=_retry_after(text))
        case 503 | 529:
            return BackendUnavailable(f"codex: {told(text)}", retry_after=_retry_after(text))
        case int() if 400 <= status < 500:
            return BackendRefused(f"codex: {told(text)}")
        case _:
            return _by_text(text)


def _by_text(text: str) -> ClinvkError:
    if text.startswith("stream disconnected"):
        return stream_ended_early(text)
    if text.startswith("Missing environment variable"):
        return BackendUnavailable(f"codex: {told(text)}")
    match _body(text):
        case {"error": {"code": "context_length_exceeded", "message": str(message)}}:
            return BackendRefused(f"codex: {told(message)}", param="prompt")
        case {"error": {"message": str(message)}} | {"detail": str(message)}:
            return BackendRefused(f"codex: {told(message)}")
        case dict():
            return BackendRefused(f"codex: {told(text)}")
        case _:
            return BackendError(f"codex: {told(text) or 'the turn failed without a reason'}")


def stream_ended_early(text: str) -> BackendError:
    """The provider's stream broke off after part of the answer was given."""
    return BackendError(f"the model's stream ended early: {told(text)}")


def _credentials_refused(text: str) -> BackendUnavailable:
    return BackendUnavailable(
        f"the model provider refused the credentials of codex ({told(text)}): {LOGIN_HINT}"
    )


def _body(text: str) -> object:
    """The provider's body of a 400, which codex gives as the text of the error."""
    if not text.startswith("{"):
        return None
    try:
        return from_json(text)
    except ValueError:
        return None


def _retry_after(text: str) -> int | None:
    match = _TRY_AGAIN.search(text)
    if match is None or not any(match.groups()):
        return None
    minutes, amount, unit = match.groups()
    seconds = float(amount or 0) / (1000 if unit and unit.lower() == "ms" else 1)
    return max(1, math.ceil(60 * int(minutes or 0) + seconds))
