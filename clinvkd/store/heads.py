"""The digest by which a history is found again, however a caller splits its texts.

It is a chain over exchanges (what the user said, what the assistant answered), so that a history
that has grown by one exchange costs the digest of that exchange only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from pydantic_core import to_json

from ..prompt import Message, merged


def head_digest(messages: Iterable[Message], after: str = "") -> str:
    """The digest of a history, or of one that goes on after the history of digest `after`.

    That earlier history must have ended with the assistant, and `messages` must begin with the
    user.
    """
    digest = after
    for exchange in _exchanges(messages):
        document = to_json(merged(exchange))
        digest = hashlib.sha256(digest.encode() + document).hexdigest()
    return digest


def _exchanges(messages: Iterable[Message]) -> Iterator[tuple[Message, ...]]:
    exchange: list[Message] = []
    for message in messages:
        if message.role == "user" and exchange and exchange[-1].role == "assistant":
            yield tuple(exchange)
            exchange = []
        exchange.append(message)
    if exchange:
        yield tuple(exchange)
