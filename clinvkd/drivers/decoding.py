"""JSON as agents write it, and values that we can write as JSON.

JavaScript keeps halves of characters in its texts and writes them as escapes. Python writes `NaN`,
and everybody `1e999`, which is read as infinity.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import from_json, to_json

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole pair
    rb"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|.)",
    re.DOTALL,
)


def decoded(document: bytes | str) -> Any:
    """The value of a JSON document, with U+FFFD for what is half of a surrogate pair.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    try:
        return from_json(document)
    except ValueError:
        raw = document.encode() if isinstance(document, str) else document
        whole = _ESCAPE.sub(_without_half, raw)
        if whole == raw:
            raise
    return from_json(whole)


def finite(value: Any) -> Any:
    """A value that came from JSON, with None for numbers that JSON cannot hold."""
    return from_json(to_json(value, inf_nan_mode="null"))


def _without_half(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape["half"] else escape[0]
