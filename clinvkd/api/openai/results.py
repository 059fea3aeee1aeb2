"""Results of calls that do not fit the calls, refused in OpenAI's words: clients look for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...errors import InvalidRequest
from ...prompt import Message, ToolResult, ToolUse
from .content import ChatMessage

_LONGEST_ID = 80


def check_chat_results(messages: Sequence[ChatMessage]) -> None:
    """Each call has one result, in the tool messages right after it.

    Raises:
        InvalidRequest: a result of no call, a second one, or none.
    """
    answered: dict[str, int | None] = {}
    for index, message in enumerate(messages):
        if message.role != "tool":
            _check_none_missing(answered, index)
            answered = {call.id: None for call in message.tool_calls or ()}
        elif not answered:
            raise InvalidRequest(
                "Invalid parameter: messages with role 'tool' must be a response to a preceeding"
                " message with 'tool_calls'.",  # the spelling is OpenAI's
                param=f"messages.[{index}].role",
            )
        else:
            _note(answered, message.tool_call_id or "", index)
    _check_none_missing(answered, len(messages) - 1)


def check_response_results(before: Sequence[Message], messages: Sequence[Message]) -> None:
    """Each call of the response before, and of the input, has one result after it.

    Args:
        before: the messages the input continues.
        messages: those of the input.

    Raises:
        InvalidRequest: a result of no call, a second one, or none.
    """
    waiting = _calls(before[-1:])
    for message in messages:
        for block in message.content:
            if isinstance(block, ToolResult):
                call = block.tool_use_id
                if call not in waiting:
                    raise InvalidRequest(
                        "No tool call found for function call output with call_id"
                        f" {call[:_LONGEST_ID]}.",
                        param="input",
                    )
                del waiting[call]
        waiting |= _calls((message,))
    for call in waiting:
        raise InvalidRequest(
            f"No tool output found for function call {call[:_LONGEST_ID]}.", param="input"
        )


def _note(answered: dict[str, int | None], call: str, index: int) -> None:
    param = f"messages.[{index}].tool_call_id"
    shown = call[:_LONGEST_ID]
    if call not in answered:
        raise InvalidRequest(
            f"Invalid parameter: 'tool_call_id' of '{shown}' not found in 'tool_calls' of previous"
            " message.",
            param=param,
        )
    if (first := answered[call]) is not None:
        raise InvalidRequest(
            f"Invalid parameter: Duplicate value for 'tool_call_id' of '{shown}', in"
            f" messages[{first}] and messages[{index}].",
            param=param,
        )
    answered[call] = index


def _check_none_missing(answered: dict[str, int | None], index: int) -> None:
    missing = [call[:_LONGEST_ID] for call, place in answered.items() if place is None]
    if missing:
        raise InvalidRequest(
            "An assistant message with 'tool_calls' must be followed by tool messages responding"
            " to each 'tool_call_id'. The following tool_call_ids did not have response messages:"
            f" {', '.join(missing)}",
            param=f"messages.[{index}].role",
        )


def _calls(messages: Iterable[Message]) -> dict[str, None]:
    blocks = (block for message in messages for block in message.content)
    return {block.id: None for block in blocks if isinstance(block, ToolUse)}
