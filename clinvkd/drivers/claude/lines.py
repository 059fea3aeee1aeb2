"""The lines clinvk writes to Claude Code: control messages, user and assistant messages."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import BackendRefused
from ...prompt import Audio, Block, Document, Image, Message, Text, Thinking, ToolResult, ToolUse
from ..base import Json, Send

_REASONING = ("thinking", "redacted_thinking")


def control_request(number: int, request: Json) -> Send:
    """A request of ours; its answer carries the same id."""
    return Send({"type": "control_request", "request_id": f"clinvk-{number}", "request": request})


def control_answer(request_id: str, response: Json) -> Send:
    """The answer to a request of the agent."""
    return Send(
        {
            "type": "control_response",
            "response": {"subtype": "success", "request_id": request_id, "response": response},
        }
    )


def control_refusal(request_id: str, error: str) -> Send:
    """The error answer to a request of the agent."""
    return Send(
        {
            "type": "control_response",
            "response": {"subtype": "error", "request_id": request_id, "error": error},
        }
    )


def user_line(content: list[Json], *, composed: bool, query: bool = True) -> Send:
    """A user message.

    Args:
        content: its blocks, in the form of the Messages API.
        composed: the agent knows `client_composed`, which has it take the text literally; older
            versions run a last text that starts with a slash as a command, unless a line break
            stands before it.
        query: False only appends the message to the context; the agent answers with a `result`.
    """
    line: Json = {
        "type": "user",
        "message": {"role": "user", "content": content if composed else _disarmed(content)},
        "parent_tool_use_id": None,
        "client_composed": True,
    }
    if not query:
        line["shouldQuery"] = False
    return Send(line)


def assistant_line(number: int, content: list[Json], model: str | None) -> Send:
    """An earlier answer, appended to the context.

    Each gets an id of its own: 2.1.197 merges assistant messages whose ids are equal or missing.

    Args:
        number: makes the id.
        content: its blocks, in the form of the Messages API.
        model: the one the conversation runs on: reasoning of any other the agent leaves out.
    """
    message: Json = {"id": f"msg_clinvk_{number}", "role": "assistant", "content": content}
    if model is not None and any(block["type"] in _REASONING for block in content):
        message["model"] = model
    return Send({"type": "assistant", "message": message, "parent_tool_use_id": None})


def content_of(messages: Iterable[Message]) -> list[Json]:
    """The blocks of `messages` in the form of the Messages API, which refuses blank texts."""
    return [block for message in messages for block in _blocks(message.content)]


def _blocks(content: Iterable[Block]) -> list[Json]:
    return [
        _block(block)
        for block in content
        if not (isinstance(block, Text) and not block.text.strip())
    ]


def _block(block: Block) -> Json:
    match block:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(media_type, data):
            source = {"type": "base64", "media_type": media_type, "data": data}
            return {"type": "image", "source": source}
        case Audio():  # the Messages API has no such block
            raise BackendRefused("claude takes no audio", param="messages")
        case Document("application/pdf", data, title):
            source = {"type": "base64", "media_type": "application/pdf", "data": data}
            return {"type": "document", "source": source, "title": title}
        case Document(media_type, data, title):
            source = {"type": "text", "media_type": media_type, "data": data}
            return {"type": "document", "source": source, "title": title}
        case Thinking(_, signature, redacted=True):
            return {"type": "redacted_thinking", "data": signature}
        case Thinking(text, signature):
            return {"type": "thinking", "thinking": text, "signature": signature}
        case ToolUse(identity, name, arguments):
            return {"type": "tool_use", "id": identity, "name": name, "input": arguments}
        case ToolResult(identity, content, is_error):
            return {
                "type": "tool_result",
                "tool_use_id": identity,
                "content": _blocks(content),
                "is_error": is_error,
            }


def _disarmed(content: list[Json]) -> list[Json]:
    texts = [index for index, block in enumerate(content) if block["type"] == "text"]
    if not texts or not content[texts[-1]]["text"].startswith("/"):
        return content
    last = texts[-1]
    literal = {"type": "text", "text": "\n" + content[last]["text"]}
    return [*content[:last], literal, *content[last + 1 :]]
