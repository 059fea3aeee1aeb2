"""The canonical history as items of the Responses API, the form codex keeps a thread in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pydantic_core import to_json

from ...prompt import Image, Message, Role, Text, ToolResult, ToolUse
from ..base import Json


def response_items(messages: Iterable[Message], name_of: Callable[[str], str]) -> list[Json]:
    """What `thread/inject_items` takes: roles, order, images and call ids are kept.

    The Responses API has no error flag on the output of a call; the output tells it by itself.

    Args:
        name_of: gives the name a tool of the caller's has in codex.
    """
    return [item for message in messages for item in _items_of(message, name_of)]


def user_input(message: Message) -> list[Json] | None:
    """What `turn/start` takes, or None when `message` holds more than text and images."""
    parts: list[Json] = []
    for block in message.content:
        match block:
            case Text(""):
                pass
            case Text(text):
                parts.append({"type": "text", "text": text, "text_elements": []})
            case Image():
                parts.append({"type": "image", "url": data_url(block)})
            case _:
                return None
    return parts


def _items_of(message: Message, name_of: Callable[[str], str]) -> Iterator[Json]:
    content: list[Json] = []
    for block in message.content:
        if isinstance(block, Text | Image):
            content += _parts(message.role, block)
            continue
        if content:
            yield _message(message.role, content)
            content = []
        if isinstance(block, ToolUse | ToolResult):
            yield _call_or_output(block, name_of)
    if content:
        yield _message(message.role, content)


def _message(role: Role, content: list[Json]) -> Json:
    return {"type": "message", "role": role, "content": content}


def _parts(role: Role, block: Text | Image) -> list[Json]:
    if isinstance(block, Image):
        return [{"type": "input_image", "image_url": data_url(block)}]
    if not block.text:
        return []
    return [{"type": "output_text" if role == "assistant" else "input_text", "text": block.text}]


def _call_or_output(block: ToolUse | ToolResult, name_of: Callable[[str], str]) -> Json:
    if isinstance(block, ToolUse):
        return {
            "type": "function_call",
            "call_id": block.id,
            "name": name_of(block.name),
            "arguments": to_json(block.input).decode(),
        }
    return {
        "type": "function_call_output",
        "call_id": block.tool_use_id,
        "output": _output(block.content),
    }


def _output(content: tuple[Text | Image, ...]) -> str | list[Json]:
    if all(isinstance(block, Text) for block in content):
        return "".join(block.text for block in content if isinstance(block, Text))
    return [part for block in content for part in _parts("user", block)]


def data_url(image: Image) -> str:
    """The only form in which codex takes an image."""
    return f"data:{image.media_type};base64,{image.data}"
