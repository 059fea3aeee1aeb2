"""Stored responses: kept while they grow, continued by the next, run in the background."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from ....engine import Engine
from ....errors import (
    ClinvkError,
    InternalError,
    InvalidRequest,
    NotFound,
    ShuttingDown,
    StoreUnavailable,
)
from ....keys import Caller
from ....prompt import Message, Prompt
from ....store import StoredResponse, encode_binding
from .building import Building
from .items import listed
from .models import Before, ResponseRequest

_log = structlog.get_logger(__name__)


async def found(engine: Engine, response_id: str, caller: Caller) -> StoredResponse:
    """A stored response that the caller may see.

    Raises:
        NotFound: there is none of that id, or it is not for this caller.
        StoreUnavailable: the store does not work.
    """
    response = await engine.store.responses.get(response_id, caller.sees)
    if response is None:
        raise NotFound(f"Response with id {response_id[:80]!r} not found.")
    return response


def object_of(stored: StoredResponse) -> dict[str, Any]:
    """The response object, with the status the store knows."""
    response = {**(stored.output or {}), "status": stored.status}
    if stored.status == "failed" and response.get("error") is None:
        message = "the daemon ended before the response was complete"
        response["error"] = {"code": "server_error", "message": message}
    return response


async def before(engine: Engine, body: ResponseRequest, caller: Caller) -> Before:
    """What `body` continues, of what the caller may see.

    Raises:
        NotFound: there is no such response.
        InvalidRequest: it has no answer to continue from.
        StoreUnavailable: the store does not work.
    """
    if (name := body.previous_response_id) is None:
        return Before()
    param = "previous_response_id"
    previous = await engine.store.responses.get(name, caller.sees)
    if previous is None:
        raise NotFound(f"Previous response with id {name[:80]!r} not found.", param=param)
    if previous.status not in ("completed", "incomplete"):
        raise InvalidRequest(f"the response is {previous.status}, not completed", param=param)
    return Before(previous.messages, _system_of_input(engine, previous))


def _system_of_input(engine: Engine, previous: StoredResponse) -> str | None:
    system = previous.binding["system"]
    section = engine.settings.backends.get(previous.backend)
    if system is None or (section is not None and system == section.system_prompt):
        return None
    instructions = previous.request.get("instructions") or ""
    return str(system).removeprefix(instructions).removeprefix("\n\n") or None


def record_of(
    body: ResponseRequest,
    building: Building,
    prompt: Prompt,
    messages: tuple[Message, ...] | None = None,
) -> StoredResponse:
    """What is kept of a response as it stands.

    Args:
        messages: the history with the answer, once there is one.
    """
    return StoredResponse(
        id=building.object["id"],
        created_at=float(building.object["created_at"]),
        client=prompt.client,
        model=body.model,
        backend=prompt.backend,
        status=building.object["status"],
        previous_id=body.previous_response_id,
        request=body.model_dump(by_alias=True, exclude_unset=True),
        input_items=listed(body.input),
        output=dict(building.object),
        messages=messages or prompt.messages,
        binding=encode_binding(prompt),
    )


class BackgroundResponses:
    """Responses that run without a caller waiting for them."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[None]] = {}
        self._closing = False

    def start(self, engine: Engine, prompt: Prompt, building: Building) -> None:
        """Run a turn for a response that is stored as queued."""
        name = building.object["id"]
        task = asyncio.get_running_loop().create_task(
            self._run(engine, prompt, building), name=f"response {name}"
        )
        self._running[name] = task
        task.add_done_callback(lambda _: self._running.pop(name, None))

    async def cancel(self, response_id: str) -> None:
        """Stop a running response and wait until it says so in the store."""
        task = self._running.get(response_id)
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))

    async def aclose(self) -> None:
        """Stop all; they have failed."""
        self._closing = True
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, engine: Engine, prompt: Prompt, building: Building) -> None:
        name = building.object["id"]
        messages: tuple[Message, ...] | None = None
        try:
            building.begin()
            await engine.store.responses.update(
                name, prompt.client, status="in_progress", output=dict(building.object)
            )
            async with engine.turn(prompt, dialect="openai") as turn:
                async for events in turn:
                    building.grow(events)
                messages = (*prompt.messages, turn.reply)
        except asyncio.CancelledError:
            if self._closing:
                building.fail(ShuttingDown("the daemon stopped"))
            else:
                building.cancel()
        except ClinvkError as error:
            building.fail(error)
        except Exception:  # noqa: BLE001 - the last line of defence
            _log.exception("background response failed", response=name)
            building.fail(InternalError("an internal error occurred"))
        try:
            await engine.store.responses.update(
                name,
                prompt.client,
                status=building.object["status"],
                output=dict(building.object),
                messages=messages,
            )
        except StoreUnavailable as error:
            _log.error("background response lost", response=name, reason=error.message)
