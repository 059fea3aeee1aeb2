"""The small forms in which commands say times, numbers and durations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

_SPAN = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def figures(told: Mapping[str, Any]) -> str:
    """Duration, tokens and cost of an answer, or of a `complete` event, as far as it tells them."""
    parts = []
    if duration := told.get("duration_ms"):
        parts.append(f"{duration / 1000:.1f} s")
    if usage := told.get("token_usage"):
        parts.append(f"{usage['input_tokens']} tokens in, {usage['output_tokens']} out")
    if (cost := told.get("cost_usd")) is not None:
        parts.append(f"${cost:.4f}")
    return ", ".join(parts)


def moment(timestamp: str) -> datetime:
    """The moment an RFC 3339 timestamp names."""
    return datetime.fromisoformat(timestamp)


def ago(timestamp: str, now: datetime | None = None) -> str:
    """How long ago a moment was, in the largest unit that is full."""
    seconds = max(0, int(((now or datetime.now(UTC)) - moment(timestamp)).total_seconds()))
    for length, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"


def span(text: str) -> timedelta:
    """The time in `30d`, `12h`, `2w`, `45m` or `90s`.

    Raises:
        ValueError: it is written otherwise.
    """
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no time; write it like 90s, 45m, 12h, 30d or 2w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def first_line(text: str, length: int = 100) -> str:
    """The first line of a text, cut to `length` characters."""
    line = next((line for line in text.splitlines() if line.strip()), "").strip()
    return line if len(line) <= length else f"{line[: length - 3]}..."
