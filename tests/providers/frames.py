"""Server-sent events as bytes."""

from __future__ import annotations

import json

from .recording import JsonObject


def data_line(document: JsonObject) -> bytes:
    """An event without a name."""
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def named_event(document: JsonObject) -> bytes:
    """An event whose name is the document's ``type``, as Anthropic and OpenAI send them."""
    return f"event: {document['type']}\n".encode() + data_line(document)
