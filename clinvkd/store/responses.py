"""Stored responses: what `GET /responses/{id}` gives and `previous_response_id` continues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ..prompt import Message
from .canonical import JsonObject

if TYPE_CHECKING:
    from .worker import Worker

ResponseStatus: TypeAlias = Literal[
    "queued", "in_progress", "completed", "failed", "cancelled", "incomplete"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """One response and all that is needed to continue from it.

    What it holds must not be changed after it was given to the store.

    Attributes:
        id: nobody can guess it; printable ASCII.
        created_at: seconds since the epoch.
        client: its owner; nobody else ever sees it.
        model: as the caller named it.
        backend: name of the backend that answered.
        status: wins over a status inside `output`, which may be from before a crash.
        previous_id: the response it continued, or None.
        request: the body as received, without secrets.
        input_items: the input as items of the dialect.
        output: the whole response object as returned, or None as long as there is none.
        messages: the canonical history, the answer included.
        binding: the rest of the prompt, from `encode_binding`.
    """

    id: str
    created_at: float
    client: str
    model: str
    backend: str
    status: ResponseStatus
    previous_id: str | None = None
    request: JsonObject
    input_items: list[Any]
    output: JsonObject | None = None
    messages: tuple[Message, ...]
    binding: JsonObject


class Responses:
    """All stored responses.

    Every method may raise `StoreUnavailable`; then nothing of the call has been kept.
    When a writing method returns, what it wrote survives the end of the process, however it ends.
    `client` is whose response it has to be; where it may be None, that stands for anybody's.
    A caller who is cancelled while waiting does not stop the call.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def put(self, response: StoredResponse) -> None:
        """Keep a response, or its new state as a whole.

        Raises:
            ValueError: another client has a response of that id.
        """
        await self._worker.write(lambda database: database.responses.put(response))

    async def get(self, response_id: str, client: str | None) -> StoredResponse | None:
        """The response of that id, or None when this client has none such."""
        return await self._worker.read(lambda database: database.responses.get(response_id, client))

    async def delete(self, response_id: str, client: str) -> bool:
        """Forget a response; False when this client has none such."""
        return await self._worker.erase(
            lambda database: database.responses.delete(response_id, client)
        )

    async def update(
        self,
        response_id: str,
        client: str,
        *,
        status: ResponseStatus,
        output: JsonObject | None = None,
        messages: tuple[Message, ...] | None = None,
    ) -> bool:
        """Change the state of a response that is still queued or in progress.

        The first final status stays: of an end and a cancellation that meet, one wins.

        Args:
            output: the new response object; None keeps the one there is.
            messages: the new history; None keeps the one there is.

        Returns:
            False when this client has no such response, or it is final already.
        """
        return await self._worker.write(
            lambda database: database.responses.update(
                response_id, client, status, output, messages
            )
        )

    async def prune(self, older_than: float) -> int:
        """Forget what was created before `older_than` (seconds since the epoch); how many."""
        return await self._worker.erase(lambda database: database.responses.prune(older_than))
