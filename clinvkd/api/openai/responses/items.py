"""Input items of the Responses API: as canonical history, and as they are listed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

from ....errors import InvalidRequest
from ....prompt import Block, Message, Role, Text, ToolResult, ToolUse
from ...audio import audio_of
from ...documents import file_of
from ...media import Reference
from ..chat_models import Wire
from ..content import arguments_of, image_of, result_content
from ..wire import new_id
from .tools import INPUT, function_name


class Item(Wire):
    """An input item; which members it has depends on its type."""

    type: str | None = None
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: str | list[dict[str, Any]] | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: str | list[dict[str, Any]] | None = None


Input = str | list[Item]

_UNCHANGED = ("reasoning",)  # what agents do not take back, and the answer does not depend on


def decode(
    given: Input | None, before: tuple[Message, ...]
) -> tuple[list[str], tuple[Message, ...]]:
    """System texts at the beginning of a conversation, and the messages of an input.

    Args:
        before: the messages that the input continues.

    Raises:
        InvalidRequest: naming the item.
    """
    if isinstance(given, str):
        return [], (Message("user", (Text(given),)),) if given else ()
    system: list[str] = []
    messages: list[Message] = []
    for index, item in enumerate(given or []):
        where = f"input[{index}]"
        if item.type in _UNCHANGED:
            continue
        if item.role in ("system", "developer"):
            text = _text_only(item, where)
            if not messages and not before:
                system.append(text)
                continue
            role: Role = "user"
            blocks: tuple[Block, ...] = (
                Text(f"<system-reminder>\n{text}\n</system-reminder>\n\n"),
            )
        else:
            role, blocks = _decode(item, where)
        if messages and messages[-1].role == role:
            blocks = (*messages.pop().content, *blocks)
        if blocks:
            messages.append(Message(role, blocks))
    return system, tuple(messages)


def listed(given: Input | None) -> list[dict[str, Any]]:
    """The input as items with ids, oldest first."""
    if isinstance(given, str):
        part = {"type": "input_text", "text": given}
        return [_message_item("user", [part])]
    items = []
    for item in given or []:
        raw = item.model_dump(exclude_unset=True)
        if item.role is not None:
            content = item.content
            if isinstance(content, str):
                kind = "output_text" if item.role == "assistant" else "input_text"
                content = [{"type": kind, "text": content}]
            raw = {**_message_item(item.role, content or []), **_id_of(raw)}
        items.append({**raw, "id": new_id("item_"), **_id_of(raw)})
    return items


def image_references(given: Input | None) -> Iterator[Reference]:
    """Where the items name images by their URLs."""
    for index, item in enumerate(given if isinstance(given, list) else ()):
        for member in ("content", "output"):
            parts = getattr(item, member)
            for number, part in enumerate(parts if isinstance(parts, list) else ()):
                match part:
                    case {"type": "input_image", "image_url": str(url)}:
                        where = f"input[{index}].{member}[{number}].image_url"
                        yield Reference(url, where, partial(part.__setitem__, "image_url"))


def _message_item(role: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": new_id("msg_"),
        "type": "message",
        "status": "completed",
        "role": role,
        "content": content,
    }


def _id_of(raw: dict[str, Any]) -> dict[str, Any]:
    return {"id": raw["id"]} if isinstance(raw.get("id"), str) else {}


def _decode(item: Item, where: str) -> tuple[Role, tuple[Block, ...]]:
    match item:
        case Item(role="assistant" | "user" as role):
            return role, _parts(item.content, f"{where}.content")
        case Item(type="function_call", call_id=str(call), name=str(name)):
            arguments = arguments_of(item.arguments or "")
            return "assistant", (ToolUse(call, function_name(name, item.namespace), arguments),)
        case Item(type="custom_tool_call", call_id=str(call), name=str(name), input=str(text)):
            return "assistant", (ToolUse(call, function_name(name, item.namespace), {INPUT: text}),)
        case Item(type="function_call_output" | "custom_tool_call_output", call_id=str(call)):
            output = f"{where}.output"
            content = result_content(_parts(item.output, output), output)
            return "user", (ToolResult(call, content),)
    reasons = {
        "message": "role is required",
        None: "role or type is required",
    }
    reason = reasons.get(item.type, f"items of type {str(item.type)[:40]!r} are not supported")
    raise InvalidRequest(f"{where}: {reason}", param=where)


def _parts(content: str | list[dict[str, Any]] | None, where: str) -> tuple[Block, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    return tuple(_part(part, f"{where}[{index}]") for index, part in enumerate(content or []))


def _part(part: dict[str, Any], where: str) -> Block:
    match part:
        case {"type": "input_text" | "output_text" | "text", "text": str(text)}:
            return Text(text)
        case {"type": "refusal", "refusal": str(text)}:
            return Text(text)
        case {"type": "input_image", "image_url": str(url)}:
            return image_of(url, f"{where}.image_url")
        case {"type": "input_audio", "input_audio": {"data": data, "format": name}}:
            return audio_of(data, name, f"{where}.input_audio")
        case {"type": "input_file", "file_data": data}:
            return file_of(data, part.get("filename"), f"{where}.file_data")
    kind = str(part.get("type"))[:40]
    reasons = {
        "input_image": "give the image as a data URL in image_url; there are no files",
        "input_file": "give the file as a data URL in file_data; there are no stored files",
        "input_audio": "input_audio must hold data and format",
        "None": "type is required",
    }
    reason = reasons.get(kind, f"parts of type {kind!r} are not supported")
    raise InvalidRequest(f"{where}: {reason}", param=where)


def _text_only(item: Item, where: str) -> str:
    blocks = _parts(item.content, f"{where}.content")
    if any(not isinstance(block, Text) for block in blocks):
        raise InvalidRequest(f"{where} may hold text only", param=where)
    return "".join(block.text for block in blocks if isinstance(block, Text))
