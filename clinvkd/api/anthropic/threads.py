"""Threads: conversations whose earlier messages the server holds, under the id of the last answer.

``thread: {"type": "create"}`` keeps the conversation, ``{"type": "continue",
"previous_message_id": ...}`` sends only what is new, and neither system prompt nor tools again.
What cannot be found, or was never kept because the store does not work, is refused with the code
that makes the official SDKs send everything again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog

from ...engine import AnyTurn, Engine
from ...errors import InvalidRequest, NotFound, StoreUnavailable
from ...keys import Caller
from ...prompt import Message, Thinking, Tool
from ...store import StoredResponse, decode_binding, encode_binding
from .content import WireMessage, decode
from .models import MessagesRequest
from .narration import Narration

_UNSUPPORTED = ("context_management", "fallbacks")
"""Fields that a thread would have to remember the effect of, and we do not give any effect."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Before:
    """What the server holds of a thread.

    Attributes:
        messages: in canonical form; none at the beginning of a thread.
        system: the system prompt the thread was made with.
        tools: the caller's tools it was made with.
    """

    messages: tuple[Message, ...] = ()
    system: str | None = None
    tools: tuple[Tool, ...] = ()


async def before(engine: Engine, body: MessagesRequest, caller: Caller) -> Before:
    """What comes before the messages of `body`; nothing when it continues no thread.

    Raises:
        InvalidRequest: a field does not go with threads.
        NotFound: there is no such thread that the caller may see.
    """
    if body.thread is None:
        return Before()
    if unsupported := [name for name in _UNSUPPORTED if (body.model_extra or {}).get(name)]:
        raise InvalidRequest(
            "not supported together with thread; send the whole conversation without it",
            param=unsupported[0],
            details={"error_code": "thread_unsupported_request", "unsupported": unsupported},
        )
    if body.thread.type == "create":
        return Before()
    if (held := await _held(engine, body.thread.previous_message_id, caller)) is None:
        raise NotFound(
            "there is no thread with this message; send the whole conversation",
            param="thread.previous_message_id",
            details={"error_code": "thread_not_found"},
        )
    binding = decode_binding(held.binding, held.messages)
    return Before(held.messages, binding.system, binding.tools)


async def keep(engine: Engine, body: MessagesRequest, narration: Narration, turn: AnyTurn) -> None:
    """Hold a completed turn under its message's id, if the request asks for it.

    A store that does not work costs the thread, not the answer: a caller who continues is told
    that there is none, and sends everything again. So does one that is to store no content.
    """
    if body.thread is None or not engine.settings.session.store_content:
        return
    message = narration.message
    reply = Message("assistant", (*_thinking(message["content"]), *turn.reply.content))
    try:
        await engine.store.responses.put(
            StoredResponse(
                id=message["id"],
                created_at=time.time(),
                client=turn.prompt.client,
                model=body.model,
                backend=turn.prompt.backend,
                status="completed",
                previous_id=body.thread.previous_message_id,
                request={"thread": body.thread.model_dump()},
                input_items=[],
                messages=(*turn.prompt.messages, reply),
                binding=encode_binding(turn.prompt),
            )
        )
    except StoreUnavailable as error:
        _log.warning("a thread was not kept", reason=error.message)


async def _held(engine: Engine, message_id: str | None, caller: Caller) -> StoredResponse | None:
    if not message_id:
        return None
    try:
        held = await engine.store.responses.get(message_id, caller.sees)
    except StoreUnavailable as error:
        _log.warning("a thread cannot be read", reason=error.message)
        return None
    # The responses of the OpenAI dialect are kept there too.
    return held if held is not None and "thread" in held.request else None


def _thinking(content: list[dict[str, object]]) -> tuple[Thinking, ...]:
    """The reasoning among the blocks of an answer, as a caller would hand it back."""
    said = decode([WireMessage.model_construct(role="assistant", content=content)])
    return tuple(block for one in said for block in one.content if isinstance(block, Thinking))
