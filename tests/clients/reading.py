"""What a request to a fake provider says, whichever provider it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..providers import RecordedRequest


def spoken(request: RecordedRequest) -> list[tuple[str, str]]:
    """Role and text of every message but system ones, in order."""
    return [(utterance.role, utterance.text) for utterance in request.conversation.utterances]


def is_ordered(request: RecordedRequest, *texts: str) -> bool:
    """Whether the system prompt holds each of the texts once, in this order."""
    system = request.conversation.system
    places = [system.find(text) for text in texts]
    once = all(system.count(text) == 1 for text in texts)
    return once and places == sorted(places)


def holds(request: RecordedRequest, text: str) -> bool:
    """Whether the text stands anywhere in the body."""
    return text in json.dumps(request.body, ensure_ascii=False)


def schemas(request: RecordedRequest) -> list[dict[str, Any]]:
    """Every JSON Schema of an object that the body holds."""
    return [found for found in _objects(request.body) if isinstance(found.get("properties"), dict)]


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    match value:
        case dict():
            yield value
            for member in value.values():
                yield from _objects(member)
        case list():
            for member in value:
                yield from _objects(member)
