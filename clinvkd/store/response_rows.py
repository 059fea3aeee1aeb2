"""The statements behind `Responses`, on any database SQLAlchemy speaks to."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Boolean,
    Connection,
    Delete,
    Insert,
    RowMapping,
    Update,
    and_,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from ..prompt import Message
from .canonical import JsonObject, decode_messages, encode_messages, from_json, to_json
from .responses import ResponseStatus, StoredResponse
from .schema import responses

_UNFINISHED: tuple[ResponseStatus, ...] = ("queued", "in_progress")

# Statements are built once: to build one costs more than to run it. What an update sets are the
# values it is run with, so the names of the conditions must be none of columns.
_OWNED = and_(
    responses.c.id == bindparam("owned_id"),
    or_(bindparam("anybody", type_=Boolean), responses.c.client == bindparam("owned_client")),
)
_IS_UNFINISHED = responses.c.status.in_(_UNFINISHED)
_INSERT = insert(responses)
_REPLACE = update(responses).where(_OWNED)
_SELECT = select(responses).where(_OWNED)
_DELETE = delete(responses).where(_OWNED)
_UPDATE_UNFINISHED = update(responses).where(_OWNED, _IS_UNFINISHED)
_FAIL_UNFINISHED = update(responses).where(_IS_UNFINISHED)
_PRUNE = delete(responses).where(responses.c.created_at < bindparam("older_than"))


class ResponseRows:
    """Rows of the table of responses, inside the transaction of the caller."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, response: StoredResponse) -> None:
        """See `Responses.put`."""
        values = _values(response)
        if self._run(_REPLACE, _owned(response.id, response.client) | values):
            return
        try:
            self._run(_INSERT, values)
        except IntegrityError as error:
            raise ValueError("another client has a response of that id") from error

    def get(self, response_id: str, client: str | None) -> StoredResponse | None:
        """See `Responses.get`."""
        if not _possible(response_id):
            return None
        rows = self._connection.execute(_SELECT, _owned(response_id, client))
        row = rows.mappings().one_or_none()
        return None if row is None else _response(row)

    def delete(self, response_id: str, client: str) -> bool:
        """See `Responses.delete`."""
        return _possible(response_id) and self._run(_DELETE, _owned(response_id, client)) > 0

    def update(
        self,
        response_id: str,
        client: str,
        status: ResponseStatus,
        output: JsonObject | None,
        messages: tuple[Message, ...] | None,
    ) -> bool:
        """See `Responses.update`."""
        if not _possible(response_id):
            return False
        values: dict[str, Any] = {"status": status}
        if output is not None:
            values["output"] = to_json(output)
        if messages is not None:
            values["messages"] = to_json(encode_messages(messages))
        return self._run(_UPDATE_UNFINISHED, _owned(response_id, client) | values) > 0

    def fail_unfinished(self) -> int:
        """Mark all that are not final as failed; how many."""
        return self._run(_FAIL_UNFINISHED, {"status": "failed"})

    def prune(self, older_than: float) -> int:
        """See `Responses.prune`."""
        return self._run(_PRUNE, {"older_than": older_than})

    def _run(self, statement: Insert | Update | Delete, values: dict[str, Any]) -> int:
        """Number of rows a statement changed."""
        return self._connection.execute(statement, values).rowcount


def _owned(response_id: str, client: str | None) -> dict[str, Any]:
    return {"owned_id": response_id, "anybody": client is None, "owned_client": client or ""}


def _possible(response_id: str) -> bool:
    """Whether it can be an id at all; databases refuse some texts (NUL, lone surrogates)."""
    return response_id.isascii() and response_id.isprintable()


def _values(response: StoredResponse) -> dict[str, Any]:
    return {
        "id": response.id,
        "created_at": response.created_at,
        "client": response.client,
        "model": response.model,
        "backend": response.backend,
        "status": response.status,
        "previous_id": response.previous_id,
        "request": to_json(response.request),
        "input_items": to_json(response.input_items),
        "output": None if response.output is None else to_json(response.output),
        "messages": to_json(encode_messages(response.messages)),
        "binding": to_json(response.binding),
    }


def _response(row: RowMapping) -> StoredResponse:
    output = row["output"]
    return StoredResponse(
        id=row["id"],
        created_at=row["created_at"],
        client=row["client"],
        model=row["model"],
        backend=row["backend"],
        status=row["status"],
        previous_id=row["previous_id"],
        request=from_json(row["request"]),
        input_items=from_json(row["input_items"]),
        output=None if output is None else from_json(output),
        messages=decode_messages(from_json(row["messages"])),
        binding=from_json(row["binding"]),
    )
