"""What ACP agents answer at the end of a prompt, in our own terms: usage and failures."""

from __future__ import annotations

import re
from typing import Final

from pydantic_core import from_json

from ...errors import BackendError, BackendRefused, BackendUnavailable, ClinvkError, RateLimited
from ...events import Completed, StopReason, Usage
from ..base import Json
from ..jsonrpc import METHOD_NOT_FOUND, RpcError

AUTHENTICATION_REQUIRED = -32000

STOP_REASONS: Final[dict[str, StopReason]] = {
    "end_turn": "end_turn",
    "max_tokens": "max_tokens",
    "max_turn_requests": "max_turns",
    "refusal": "refusal",
}

_STATUS = re.compile(r"(?:^|\b(?:status|code|error|HTTP)\W{1,4})([45]\d\d)\b", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"context (?:window|length|size)|context is too large|too many tokens|prompt is too long"
    r"|maximum.{0,20}tokens",
    re.IGNORECASE,
)
_NOT_LOGGED_IN = re.compile(r"unauthori[sz]ed|unauthenticated|api.?key|log ?in\b", re.IGNORECASE)
_NO_SUCH_MODEL = re.compile(r"model.{0,80}(?:not found|not supported|unknown)", re.IGNORECASE)
_RATE = re.compile(r"rate.?limit|too many requests|quota", re.IGNORECASE)
_OVERLOADED = re.compile(r"overloaded|service.?unavailable", re.IGNORECASE)
_CUT = re.compile(
    r"terminated|premature|socket hang up|connection.{0,20}(?:closed|reset)", re.IGNORECASE
)
_SECRET = re.compile(r"\b(?:sk-|AIza|Bearer\s+|key=)[\w.\-]{6,}")


def completion(result: Json, told: Usage, active: bool, backend: str) -> Completed:
    """How the agent's answer to a prompt says that the turn ended.

    Args:
        result: the answer's ``result``.
        told: usage that came in the stream.
        active: whether anything else did.
        backend: its name, for errors.

    Raises:
        BackendError: the agent gave up, or its model gave no answer.
        BackendRefused: the prompt is too long; gemini ends the turn then without asking its model.
    """
    usage = usage_of(result) or told
    reason = STOP_REASONS.get(str(result.get("stopReason")))
    if reason is None:
        how = result.get("stopReason")
        raise BackendError(f"backend {backend!r} ended the turn by itself ({how})")
    match result:
        case {"_meta": {"clinvk": {"stopSequence": str(stopped_by)}}}:
            return Completed("stop_sequence", usage, stop_sequence=stopped_by)
    if reason == "max_tokens" and not active and usage == Usage():
        raise BackendRefused(
            f"backend {backend!r} reached its limit of tokens before it asked its model: "
            "the prompt is too long",
            param="prompt",
        )
    if reason == "end_turn" and not active and not usage.output_tokens:
        raise BackendError(
            f"backend {backend!r} ended the turn with neither text nor tokens: "
            "its model gave no answer"
        )
    return Completed(reason, usage)


def usage_of(result: Json) -> Usage | None:
    """Usage from the answer to a prompt, wherever the agent puts it; None when nowhere.

    ``usage`` is in the unstable schema (opencode, the embedded agents), ``_meta.quota`` gemini's.
    """
    match result:
        case {"usage": {"inputTokens": int()} as usage}:
            return normalised(usage)
        case {"_meta": {"quota": {"token_count": {"input_tokens": int(read)} as count}}}:
            return Usage(input_tokens=read, output_tokens=_count(count, "output_tokens"))
        case _:
            return None


def normalised(usage: Json) -> Usage:
    """ACP's usage counts; agents differ in what they count twice, and their total tells which.

    opencode's input lacks the cached part and its output the thoughts; qwen's hold them.
    """
    read, wrote = _count(usage, "inputTokens"), _count(usage, "outputTokens")
    cached = _count(usage, "cachedReadTokens")
    cache_write = _count(usage, "cachedWriteTokens")
    thoughts = _count(usage, "thoughtTokens")
    total = _count(usage, "totalTokens")
    for more_read, more_wrote in (
        (0, 0), (0, thoughts), (cached, thoughts), (cached, 0),
        (cached + cache_write, thoughts), (cached + cache_write, 0),
    ):  # fmt: skip
        if read + wrote + more_read + more_wrote == total:
            read, wrote = read + more_read, wrote + more_wrote
            break
    return Usage(
        input_tokens=read,
        output_tokens=wrote,
        cached_tokens=cached,
        cache_write_tokens=cache_write,
        reasoning_tokens=thoughts,
    )


def failure(error: RpcError, backend: str, login: str) -> ClinvkError:
    """The failure an ACP error stands for.

    gemini puts the provider's HTTP status into the code, qwen into ``data.details``, opencode
    only its text into the message; so status, then wording, decide.
    """
    text = _text(error)
    shown = f"backend {backend!r}: {_SECRET.sub('(hidden)', text)[:500]}"
    status = _status(error, text)
    if (
        error.code == AUTHENTICATION_REQUIRED
        or status in (401, 403)
        or (status is None and _NOT_LOGGED_IN.search(text))
    ):
        how = f" ({login})" if login else ""
        return BackendUnavailable(f"{shown}; the agent is not logged in{how}")
    if (field := _refused_field(error)) is not None:
        return BackendRefused(shown, param=field)
    if _TOO_LONG.search(text):
        return BackendRefused(shown, param="prompt")
    if status == 404 or _NO_SUCH_MODEL.search(text):
        return BackendRefused(shown, param="model")
    if status == 429 or (status is None and _RATE.search(text)):
        return RateLimited(shown, retry_after=_retry_after(text))
    if status in (503, 529) or (status is None and _OVERLOADED.search(text)):
        return BackendUnavailable(shown, retry_after=_retry_after(text))
    match status:
        case int() if status < 500:
            return BackendRefused(shown)
    if _CUT.search(text):
        return BackendError(f"{shown} (the provider's stream ended early)")
    return BackendError(shown)


def model_failure(error: RpcError, backend: str, model: str) -> ClinvkError:
    """The failure of choosing a model."""
    if error.code == METHOD_NOT_FOUND:
        text = f"backend {backend!r} cannot choose a model"
    else:
        text = f"backend {backend!r} does not take the model {model!r}: {_text(error)[:300]}"
    return BackendRefused(text, param="model")


def _refused_field(error: RpcError) -> str | None:
    """The field of the prompt at fault, as the embedded agents tell it."""
    match error.data:
        case {"type": "context_overflow"}:
            return "prompt"
        case {"type": "unusable_schema"}:
            return "output"
        case {"type": "unusable_tool"}:
            return "tools"
        case _:
            return None


def _text(error: RpcError) -> str:
    """The most telling text of an error; gemini's is the provider's JSON."""
    text = error.message
    match error.data:
        case {"details": str(details)} if details:
            text = details
        case str(details) if details:
            text = details
    if text.startswith("{"):
        try:
            match from_json(text):
                case {"error": {"message": str(inner)}} if inner:
                    return inner
        except ValueError:
            pass
    return text


def _status(error: RpcError, text: str) -> int | None:
    """The provider's HTTP status, or None when nothing tells it."""
    for wording in (error.message, text):
        if (found := _STATUS.search(wording)) is not None:
            return int(found[1])
    return error.code if 400 <= error.code <= 599 else None


def _retry_after(text: str) -> int | None:
    found = re.search(r"retry.{0,20}?(\d+)(?:\.\d+)?\s*s", text, re.IGNORECASE)
    return max(1, int(found[1])) if found else None


def _count(usage: Json, name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) else 0
