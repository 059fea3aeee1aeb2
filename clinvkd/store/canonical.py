"""The canonical history and what a conversation is bound to, as JSON values and back, exactly.

The form of a history is versioned: it stays readable when blocks are added to `clinvkd.prompt`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeAlias

from ..prompt import (
    Audio,
    Block,
    Document,
    Image,
    Message,
    OutputSchema,
    Permissions,
    Prompt,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
)

JsonObject: TypeAlias = dict[str, Any]

VERSION = 1


def to_json(value: Any) -> str:
    """A JSON document that `from_json` turns into an equal value.

    Text is kept as it is; only a document with lone surrogates, which no database takes as text,
    is written in ASCII with escapes.
    """
    document = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        document.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return document


def from_json(document: str) -> Any:
    """The value of a document made by `to_json`."""
    return json.loads(document)


def encode_messages(messages: Iterable[Message]) -> JsonObject:
    """A history as a JSON object."""
    return {
        "version": VERSION,
        "messages": [
            {"role": message.role, "content": [_encode_block(block) for block in message.content]}
            for message in messages
        ],
    }


def decode_messages(history: JsonObject) -> tuple[Message, ...]:
    """The history that was given to `encode_messages`.

    Raises:
        ValueError: it was written in a form this version does not know.
    """
    _check_version(history)
    return tuple(
        Message(message["role"], tuple(_decode_block(block) for block in message["content"]))
        for message in history["messages"]
    )


def encode_binding(prompt: Prompt) -> JsonObject:
    """Everything of a prompt but its messages, as a JSON object."""
    values = {field.name: getattr(prompt, field.name) for field in fields(prompt)}
    del values["messages"], values["trace"]
    return values | {
        "version": VERSION,
        "workdir": None if prompt.workdir is None else str(prompt.workdir),
        "permissions": asdict(prompt.permissions)
        | {"allowed_tools": list(prompt.permissions.allowed_tools)},
        "sampling": asdict(prompt.sampling) | {"stop": list(prompt.sampling.stop)},
        "output": None if prompt.output is None else asdict(prompt.output),
        "options": [list(option) for option in prompt.options],
        "tools": [asdict(tool) for tool in prompt.tools],
        "tool_choice": asdict(prompt.tool_choice),
    }


def decode_binding(binding: JsonObject, messages: tuple[Message, ...]) -> Prompt:
    """The prompt that was given to `encode_binding`, with `messages`.

    Raises:
        ValueError: it was written in a form this version does not know.
    """
    _check_version(binding)
    # A field that came after it was stored is left out, and gets its default.
    values = {name: value for name, value in binding.items() if name != "version"}
    workdir, output = values["workdir"], values["output"]
    permissions, sampling = values["permissions"], values["sampling"]
    values |= {
        "workdir": None if workdir is None else Path(workdir),
        "permissions": Permissions(
            **permissions | {"allowed_tools": tuple(permissions["allowed_tools"])}
        ),
        "sampling": Sampling(**sampling | {"stop": tuple(sampling["stop"])}),
        "output": None if output is None else OutputSchema(**output),
        "options": tuple((name, value) for name, value in values["options"]),
        "tools": tuple(Tool(**tool) for tool in values.get("tools", ())),
        "tool_choice": ToolChoice(**values.get("tool_choice", {})),
    }
    return Prompt(messages=messages, **values)


def _check_version(value: JsonObject) -> None:
    if (version := value.get("version")) != VERSION:
        raise ValueError(f"stored in form {version!r}, this version reads {VERSION}")


def _encode_block(block: Block) -> JsonObject:
    match block:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(media_type, data):
            return {"type": "image", "media_type": media_type, "data": data}
        case Audio(media_type, data):
            return {"type": "audio", "media_type": media_type, "data": data}
        case Document(media_type, data, title):
            return {"type": "document", "media_type": media_type, "data": data, "title": title}
        case Thinking(text, signature, redacted):
            return {
                "type": "thinking",
                "text": text,
                "signature": signature,
                "redacted": redacted,
            }
        case ToolUse(id_, name, input_):
            return {"type": "tool_use", "id": id_, "name": name, "input": input_}
        case ToolResult(tool_use_id, content, is_error):
            return {
                "type": "tool_result",
                "tool_use_id": tool_use_id,
                "content": [_encode_block(part) for part in content],
                "is_error": is_error,
            }


def _decode_block(value: JsonObject) -> Block:
    match value:
        case {"type": "tool_use", "id": id_, "name": name, "input": input_}:
            return ToolUse(id_, name, input_)
        case {"type": "tool_result", "tool_use_id": id_, "content": content, "is_error": is_error}:
            return ToolResult(id_, tuple(_decode_part(part) for part in content), is_error)
        case {"type": "document", "media_type": media_type, "data": data, "title": title}:
            return Document(media_type, data, title)
        case {"type": "audio", "media_type": media_type, "data": data}:
            return Audio(media_type, data)
        case {"type": "thinking", "text": text, "signature": signature, "redacted": redacted}:
            return Thinking(text, signature, redacted)
        case _:
            return _decode_part(value)


def _decode_part(value: JsonObject) -> Text | Image:
    match value:
        case {"type": "text", "text": text}:
            return Text(text)
        case {"type": "image", "media_type": media_type, "data": data}:
            return Image(media_type, data)
    raise ValueError(f"unknown block {value.get('type')!r}")
