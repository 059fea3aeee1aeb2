"""Several prompts in one stream of unified events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from pydantic import BaseModel, JsonValue

from ...errors import ClinvkError
from ...workflows import Lane, Told
from ..dialect import Encoder, any_substance
from .encoder import NativeEncoder, Writing, error_content

Happening: TypeAlias = Told | BaseModel
"""What a lane tells, and at the end the whole answer."""


class LanesEncoder(Encoder[Happening]):
    """The events of every lane with its tag, then ``result`` with the whole answer.

    Args:
        content_type: ``text/event-stream`` or ``application/x-ndjson``.
        tag: the members that say whose an event is.
    """

    def __init__(self, content_type: str, tag: Callable[[Lane], Mapping[str, JsonValue]]) -> None:
        self.content_type = content_type
        self._writing = Writing(content_type)
        self._tag = tag
        self._encoders: dict[Lane, NativeEncoder] = {}

    def feed(self, batch: Happening) -> bytes:
        """The unified events of what one lane tells, or the last of all."""
        if not isinstance(batch, Told):
            content: dict[str, Any] = batch.model_dump(mode="json", exclude_none=True)
            return self._writing.event("result", content)
        encoder = self._of(batch.lane)
        if batch.failure is not None:
            return encoder.fail(batch.failure)
        return encoder.feed(batch.events)

    def substantial(self, batch: Happening) -> bool:
        """Anything but the notice that an agent is at it."""
        return (
            not isinstance(batch, Told) or batch.failure is not None or any_substance(batch.events)
        )

    def fail(self, error: ClinvkError) -> bytes:
        """``error``: not one lane but the whole failed."""
        return self._writing.event("error", error_content(error))

    def _of(self, lane: Lane) -> NativeEncoder:
        encoder = self._encoders.get(lane)
        if encoder is None:
            encoder = self._encoders[lane] = NativeEncoder(
                lane.prompt,
                lambda: lane.running_for,
                lane.session_id,
                self._writing,
                self._tag(lane),
            )
        return encoder
