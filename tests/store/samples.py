"""Responses to store, and stores to put them in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from clinvkd.prompt import Audio, Image, Message, Prompt, Text, ToolResult, ToolUse
from clinvkd.store import Store, StoredResponse, encode_binding

HISTORY = (
    Message("user", (Text("What is in \U0001f5bc\ufe0f this?"), Image("image/png", "aGk="))),
    Message(
        "assistant", (Text(""), ToolUse("call_1", "look", {"at": [1, 2.5, None, {"a": True}]}))
    ),
    Message("user", (ToolResult("call_1", (Text("a cat"), Image("image/gif", "R0lG")), True),)),
    Message("assistant", (Text("A cat."),)),
    Message("user", (Audio("audio/wav", "UklGRg=="),)),
    Message("assistant", (Text("It purrs."),)),
)


def response(response_id: str, **changes: Any) -> StoredResponse:
    """A completed response, but for the changes."""
    values: dict[str, Any] = {
        "id": response_id,
        "created_at": 1_700_000_000.123456,
        "client": "alice",
        "model": "claude/opus",
        "backend": "claude",
        "status": "completed",
        "request": {"input": "hello", "nothing": None},
        "input_items": [{"type": "message", "content": "hello"}],
        "output": {"id": response_id, "output": []},
        "messages": HISTORY,
        "binding": encode_binding(Prompt(backend="claude", messages=HISTORY, client="alice")),
    }
    return StoredResponse(**(values | changes))


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Store]:
    """A store that is closed afterwards."""
    store = Store.open(path)
    try:
        yield store
    finally:
        await store.aclose()
