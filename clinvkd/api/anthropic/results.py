"""Results of calls that do not fit the calls, refused in Anthropic's words.

Claude Code looks for these words and repairs its history by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...errors import InvalidRequest
from ...prompt import Message, ToolUse
from .content import WireMessage

_LONGEST_ID = 80


def check_results(messages: Sequence[WireMessage], before: Sequence[Message] = ()) -> None:
    """Each call has one result, in the user messages right after it.

    Args:
        before: earlier messages that the server holds.

    Raises:
        InvalidRequest: a result of no call, a second one, or none.
    """
    blocks = before[-1].content if before else ()
    calls = [block.id for block in blocks if isinstance(block, ToolUse)]
    results: set[str] = set()
    place = 0  # of the message that called
    for index, message in enumerate(messages):
        if message.role == "assistant":
            _check_none_missing(calls, results, place)
            calls, results, place = _called(message), set(), index
            continue
        for number, call in _numbered(message):
            where = f"messages.{index}.content.{number}"
            _check_result(call, calls, results, where)
            results.add(call)
    if messages[-1].role != "assistant":
        _check_none_missing(calls, results, place)


def _check_result(call: str, calls: list[str], results: set[str], where: str) -> None:
    shown = call[:_LONGEST_ID]
    if call not in calls:
        raise InvalidRequest(
            f"{where}: unexpected `tool_use_id` found in `tool_result` blocks: {shown}. Each"
            " `tool_result` block must have a corresponding `tool_use` block in the previous"
            " message.",
            param=where,
        )
    if call in results:
        raise InvalidRequest(
            f"{where}: each tool_use must have a single result. Found multiple `tool_result`"
            f" blocks with id: {shown}",
            param=where,
        )


def _check_none_missing(calls: list[str], results: set[str], place: int) -> None:
    missing = [call[:_LONGEST_ID] for call in calls if call not in results]
    if missing:
        where = f"messages.{place}"
        raise InvalidRequest(
            f"{where}: `tool_use` ids were found without `tool_result` blocks immediately after:"
            f" {', '.join(missing)}. Each `tool_use` block must have a corresponding"
            " `tool_result` block in the next message.",
            param=where,
        )


def _numbered(message: WireMessage) -> Iterator[tuple[int, str]]:
    """The results of a message with their places in it."""
    if isinstance(message.content, list):
        for number, block in enumerate(message.content):
            match block:
                case {"type": "tool_result", "tool_use_id": str(call)}:
                    yield number, call


def _called(message: WireMessage) -> list[str]:
    """The ids of the calls in a message."""
    content = message.content if isinstance(message.content, list) else []
    return [
        block["id"]
        for block in content
        if block.get("type") == "tool_use" and isinstance(block.get("id"), str)
    ]
