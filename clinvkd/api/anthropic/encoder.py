"""A message as a stream of events of the Messages API."""

from __future__ import annotations

from pydantic_core import to_json

from ...errors import ClinvkError
from ..dialect import Encoder
from ..stream import EVENT_STREAM
from .narration import Told
from .wire import error_object


def sse(told: Told) -> bytes:
    """One event."""
    return b"event: %s\ndata: %s\n\n" % (told["type"].encode(), to_json(told))


class MessageEncoder(Encoder[list[Told]]):
    """One stream."""

    content_type = EVENT_STREAM
    heartbeat = sse({"type": "ping"})

    def feed(self, told: list[Told]) -> bytes:
        """Events as they go over the wire."""
        return b"".join(map(sse, told))

    def substantial(self, told: list[Told]) -> bool:
        """Anything but the beginning: a provider may still fail with a status after it."""
        return any(event["type"] != "message_start" for event in told)

    def fail(self, error: ClinvkError) -> bytes:
        """The stream's end when the turn failed."""
        return sse({"type": "error", "error": error_object(error)})
