"""JSON as agents write it, and values that we can write as JSON.

JavaScript keeps halves of characters in its texts and writes them as escapes. A NUL may be in any
text, but not in the history that comes back with the next request. Python writes `NaN`, and
everybody `1e999`, which is read as infinity.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import from_json, to_json

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole pair
    rb"|(?P<no_text>u0000|u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|.)",
    re.DOTALL,
)


def decoded(document: bytes | str) -> Any:
    """The value of a JSON document, with U+FFFD for each NUL and each half of a surrogate pair.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    raw = document.encode() if isinstance(document, str) else document
    if b"\\u0000" in raw:
        raw = _cleaned(raw)
    try:
        return from_json(raw)
    except ValueError:
        whole = _cleaned(raw)
        if whole == raw:
            raise
    return from_json(whole)


def finite(value: Any) -> Any:
    """A value that came from JSON, with None for numbers that JSON cannot hold."""
    return from_json(to_json(value, inf_nan_mode="null"))


def _cleaned(raw: bytes) -> bytes:
    return _ESCAPE.sub(lambda escape: rb"\ufffd" if escape["no_text"] else escape[0], raw)
