"""What a dialect is: one shape of HTTP API over the same turns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from aiohttp import web

from ..errors import ClinvkError
from ..events import Event, Opened, Progress, TokenUsage
from .endpoint import Endpoint

IGNORED = "X-Clinvk-Ignored"
"""Response header with the names of what was asked and is not honoured."""

Batch = TypeVar("Batch")
Lifetime: TypeAlias = Callable[[web.Application], AsyncIterator[None]]
"""A `cleanup_ctx` of aiohttp."""


class Dialect(ABC):
    """One API shape.

    Attributes:
        prefix: of all its paths.
        endpoints: its routes.
        title: what people call it.
        error_body: type of the body of its error responses.
        request_id_header: response header that carries the request's id.
        lifetimes: what it needs as long as the application runs, after the engine.
    """

    prefix: ClassVar[str]
    endpoints: ClassVar[tuple[Endpoint, ...]]
    title: ClassVar[str]
    error_body: ClassVar[Any]
    lifetimes: ClassVar[tuple[Lifetime, ...]] = ()

    request_id_header: ClassVar[str] = "X-Request-Id"

    @classmethod
    @abstractmethod
    def render_error(cls, error: ClinvkError, request_id: str) -> dict[str, Any]:
        """The JSON body of an error response."""

    @classmethod
    def status_of(cls, error: ClinvkError) -> int:
        """The HTTP status of an error; the error's own unless the dialect has another."""
        return error.status


class Encoder(ABC, Generic[Batch]):
    """Turns batches of events, all that came in one read, into the bytes of a stream.

    What is constant in a stream is made once; a batch becomes one `bytes`.
    """

    content_type: str
    heartbeat: bytes | None = None  # what goes out while the agent is silent; None: a comment

    @abstractmethod
    def feed(self, batch: Batch) -> bytes:
        """The next part of the stream."""

    @abstractmethod
    def substantial(self, batch: Batch) -> bool:
        """Whether the batch says more than that the agent is at it."""

    @abstractmethod
    def fail(self, error: ClinvkError) -> bytes:
        """The stream's end when the turn failed."""


def any_substance(events: Iterable[Event]) -> bool:
    """Whether any event says more than that the agent is at it."""
    return not all(isinstance(event, Opened | Progress | TokenUsage) for event in events)
