"""JSON as agents write it: JavaScript keeps halves of characters, and writes them as escapes."""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import from_json

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


def _without_half(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape["half"] else escape[0]
