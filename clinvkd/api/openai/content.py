"""Messages of OpenAI's chat as canonical history: roles, parts, tool calls and results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import from_json

from ...errors import InvalidRequest
from ...prompt import Block, Document, Image, Message, Role, Text, ToolResult, ToolUse
from ..audio import audio_of
from ..documents import file_of
from ..images import check_image
from ..media import Reference

_DATA_URL = re.compile(r"data:(?P<type>[\w./+-]+)(?:;[\w=.-]+)*;base64,(?P<data>.*)", re.DOTALL)


class _Wire(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, defer_build=True)


class ImageUrl(_Wire):
    """Where an image is."""

    url: str


class File(_Wire):
    """A file in the request itself."""

    file_data: str | None = None
    filename: str | None = None


class InputAudio(_Wire):
    """A recording in the request itself."""

    data: str | None = None
    format: str | None = None


class Part(_Wire):
    """A part of a message; which members it has depends on its type."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | None = None
    input_audio: InputAudio | None = None
    file: File | None = None


class FunctionCall(_Wire):
    """A call as the model wrote it: arguments are a text that should be JSON."""

    name: str
    arguments: str = ""


class ToolCall(_Wire):
    """A call of an earlier answer."""

    id: str
    type: Literal["function", "custom"] = "function"
    function: FunctionCall | None = None


class ChatMessage(_Wire):
    """One message of a chat."""

    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = None


Messages = Annotated[list[ChatMessage], Field(min_length=1)]


@dataclass(slots=True)
class _Calls:
    """Calls of earlier assistant messages; the legacy form of results knows only their names."""

    ids: set[str] = field(default_factory=set)
    by_name: dict[str, str] = field(default_factory=dict)


def decode(messages: list[ChatMessage]) -> tuple[str | None, tuple[Message, ...]]:
    """System prompt and history of a chat.

    The system and developer messages at the beginning become the system prompt, in order; later
    ones keep their place as marked text of the user's side, because no agent takes them there.
    A chat without any user message is led by its last system message.

    Raises:
        InvalidRequest: naming the message.
    """
    leading = 0
    while leading < len(messages) and messages[leading].role in ("system", "developer"):
        leading += 1
    if leading == len(messages):
        leading -= 1
        messages = [*messages[:-1], messages[-1].model_copy(update={"role": "user"})]
    system = [
        _only_text(message, f"messages[{index}]")
        for index, message in enumerate(messages[:leading])
    ]
    history: list[Message] = []
    calls = _Calls()
    for index, message in enumerate(messages[leading:], leading):
        role, blocks = _decode(message, f"messages[{index}]", calls)
        if not blocks:
            continue
        if history and history[-1].role == role:
            blocks = (*history.pop().content, *blocks)
        history.append(Message(role, blocks))
    return "\n\n".join(system) or None, tuple(history)


def _decode(message: ChatMessage, where: str, calls: _Calls) -> tuple[Role, tuple[Block, ...]]:
    match message.role:
        case "system" | "developer":
            text = _only_text(message, where)
            return "user", (Text(f"<system-reminder>\n{text}\n</system-reminder>\n\n"),)
        case "user":
            return "user", _parts(message, where)
        case "assistant":
            return "assistant", (*_parts(message, where), *_calls(message, where, calls))
        case "tool" | "function":
            return "user", (_result(message, where, calls),)


def _result(message: ChatMessage, where: str, calls: _Calls) -> ToolResult:
    identity = message.tool_call_id or ""
    if message.role == "function":
        identity = calls.by_name.get(message.name or "", "")
        if not identity:
            raise InvalidRequest(
                f"{where} answers no call of an earlier assistant message", param=where
            )
    return ToolResult(identity, result_content(_parts(message, where), where))


def result_content(blocks: Iterable[Block], where: str) -> tuple[Text | Image, ...]:
    """The content of a tool's result; of documents only texts can stand there.

    Raises:
        InvalidRequest: there is something else, naming the field `where`.
    """
    content: list[Text | Image] = []
    for block in blocks:
        match block:
            case Text() | Image():
                content.append(block)
            case Document("text/plain", text):
                content.append(Text(text))
            case _:
                raise InvalidRequest(f"{where}: a result holds texts and images", param=where)
    return tuple(content)


def _parts(message: ChatMessage, where: str) -> tuple[Block, ...]:
    if message.content is None:
        return ()
    if isinstance(message.content, str):
        return (Text(message.content),) if message.content else ()
    return tuple(
        _part(part, f"{where}.content[{index}]") for index, part in enumerate(message.content)
    )


def _part(part: Part, where: str) -> Block:
    match part:
        case Part(type="text" | "input_text" | "output_text", text=str(text)):
            return Text(text)
        case Part(type="refusal", refusal=str(text)):
            return Text(text)
        case Part(type="image_url", image_url=ImageUrl(url=url)):
            return image_of(url, f"{where}.image_url.url")
        case Part(type="input_audio", input_audio=InputAudio(data=data, format=name)):
            return audio_of(data, name, f"{where}.input_audio")
        case Part(type="file", file=File(file_data=data, filename=name)):
            return file_of(data, name, f"{where}.file.file_data")
        case Part(type="text" | "refusal" | "image_url" | "input_audio" | "file" as kind):
            raise InvalidRequest(f"{where}.{kind} is required", param=where)
        case Part(type=kind):
            raise InvalidRequest(f"{where}.type {kind[:40]!r} is unknown", param=where)


def image_references(messages: list[ChatMessage]) -> Iterator[Reference]:
    """Where the messages name images by their URLs."""
    for index, message in enumerate(messages):
        for number, part in enumerate(message.content if isinstance(message.content, list) else ()):
            if (image := part.image_url) is not None:
                where = f"messages[{index}].content[{number}].image_url.url"
                yield Reference(image.url, where, partial(setattr, image, "url"))


def image_of(url: str, where: str) -> Image:
    """The image of a data URL.

    Raises:
        InvalidRequest: it is no data URL, or holds no image.
    """
    match = _DATA_URL.fullmatch(url)
    if match is None:
        raise InvalidRequest(
            f"{where} must be a data URL (data:image/png;base64,...); http(s) URLs are fetched"
            " only where media.fetch_urls is on",
            param=where,
        )
    check_image(match["type"], match["data"], where)
    return Image(match["type"], match["data"])


def _calls(message: ChatMessage, where: str, calls: _Calls) -> tuple[Block, ...]:
    blocks: list[Block] = []
    for index, call in enumerate(message.tool_calls or ()):
        if call.function is None:
            raise InvalidRequest(f"{where}.tool_calls[{index}].function is required", param=where)
        calls.ids.add(call.id)
        blocks.append(ToolUse(call.id, call.function.name, arguments_of(call.function.arguments)))
    if (legacy := message.function_call) is not None:
        identity = f"call_{legacy.name}_{len(calls.ids)}"
        calls.ids.add(identity)
        calls.by_name[legacy.name] = identity
        blocks.append(ToolUse(identity, legacy.name, arguments_of(legacy.arguments)))
    return tuple(blocks)


def arguments_of(text: str) -> dict[str, Any]:
    """A call's arguments as an object; what the model wrote wrong is kept as it is."""
    try:
        value = from_json(text or "{}", allow_inf_nan=False)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"arguments": text}


def _only_text(message: ChatMessage, where: str) -> str:
    blocks = _parts(message, where)
    if any(not isinstance(block, Text) for block in blocks):
        raise InvalidRequest(f"{where} may hold text only", param=where)
    return "".join(block.text for block in blocks if isinstance(block, Text))
