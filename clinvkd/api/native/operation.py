"""What a native POST does: the same thing answered as one object, as a stream, or as a job."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from pydantic import BaseModel

from ...engine import Engine
from ...keys import Caller
from ..dialect import Batch, Encoder
from .models import OperationRequest

Asking = TypeVar("Asking", bound=OperationRequest)

Kind: TypeAlias = Literal["prompt", "parallel", "chain", "compare"]


@dataclass(frozen=True, slots=True)
class Running(Generic[Batch]):
    """An operation that runs.

    Attributes:
        batches: what happens; raises the `ClinvkError` with which it fails as a whole.
        encoder: makes unified events of it.
        answer: the whole answer, once the batches have ended.
    """

    batches: AsyncIterator[Batch]
    encoder: Encoder[Batch]
    answer: Callable[[], BaseModel]


@dataclass(frozen=True, slots=True)
class Ready:
    """An operation that was checked and may run, once.

    Attributes:
        run: begins it; takes the content type of its stream. Leaving the context interrupts it.
        rehearse: what it would do; nothing runs.
        ignored: names of what was asked and cannot be honoured.
        asks: the field by which somebody has to be there to decide what an agent asks, or None.
    """

    run: Callable[[str], AbstractAsyncContextManager[Running[Any]]]
    rehearse: Callable[[], BaseModel]
    ignored: tuple[str, ...] = field(default=())
    asks: str | None = None


@dataclass(frozen=True, slots=True)
class Operation(Generic[Asking]):
    """One kind of operation.

    Attributes:
        kind: as jobs name it.
        body: what asks for it.
        prepare: checks all of a body, nothing runs yet; raises `InvalidRequest`, `Forbidden`,
            `NotFound` or `Conflict` with the field at fault.
    """

    kind: Kind
    body: type[Asking]
    prepare: Callable[[Engine, Caller, Asking], Awaitable[Ready]]
