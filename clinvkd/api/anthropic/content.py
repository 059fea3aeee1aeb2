"""Messages of the Messages API as canonical history: every block, and system entries in place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...attribute_docs import described
from ...errors import InvalidRequest
from ...prompt import Block, Document, Image, Message, Role, Text, Thinking, ToolResult, ToolUse
from ..documents import check_pdf
from ..images import check_image
from ..media import Reference


class Wire(BaseModel):
    """Open to unknown fields, strict about the known ones."""

    model_config = ConfigDict(
        extra="allow", strict=True, defer_build=True, json_schema_extra=described
    )


Content = str | list[dict[str, Any]]


class WireMessage(Wire):
    """One message. Claude Code puts system entries among them."""

    role: Literal["user", "assistant", "system"]
    content: Content


_BILLING = "x-anthropic-billing-header:"
"""How a system block of Claude Code begins that is for its provider and changes every time."""

Messages = Annotated[list[WireMessage], Field(min_length=1)]


def system_of(system: Content | None, where: str = "system") -> str | None:
    """The system prompt, or a system entry of the field `where`, as one text.

    Raises:
        InvalidRequest: a block that is no text.
    """
    if system is None or isinstance(system, str):
        return system or None
    texts = [_text(block, f"{where}[{index}]") for index, block in enumerate(system)]
    return "\n\n".join(text for text in texts if not text.startswith(_BILLING)) or None


def decode(messages: Sequence[WireMessage]) -> tuple[Message, ...]:
    """The history.

    System entries keep their place as marked text of the user's side, because agents take a
    system prompt only at the beginning.

    Raises:
        InvalidRequest: naming the block.
    """
    history: list[Message] = []
    for index, message in enumerate(messages):
        where = f"messages[{index}].content"
        role: Role = "assistant" if message.role == "assistant" else "user"
        if message.role == "system":
            blocks = _reminder(system_of(message.content, where))
        else:
            blocks = _blocks(message.content, where)
        if history and history[-1].role == role:
            blocks = _joined(history.pop().content, blocks)
        history.append(Message(role, blocks))
    return tuple(message for message in history if message.content)


def image_references(messages: Iterable[WireMessage]) -> Iterator[Reference]:
    """Where URLs of images stand; what is put in their place is a base64 source."""
    for index, message in enumerate(messages):
        if not isinstance(message.content, str):
            yield from _references(message.content, f"messages[{index}].content")


def _references(blocks: list[Any], where: str) -> Iterator[Reference]:
    for index, block in enumerate(blocks):
        match block:
            case {"type": "image", "source": {"type": "url", "url": str(url)}}:
                yield Reference(url, f"{where}[{index}].source.url", partial(_embed, block))
            case {"type": "tool_result", "content": [*inner]}:
                yield from _references(inner, f"{where}[{index}].content")


def _embed(block: dict[str, Any], url: str) -> None:
    media_type, _, data = url.removeprefix("data:").partition(";base64,")
    block["source"] = {"type": "base64", "media_type": media_type, "data": data}


def _reminder(text: str | None) -> tuple[Block, ...]:
    if text is None:
        return ()
    return (Text(f"<system-reminder>\n{text}\n</system-reminder>\n\n"),)


def _joined(before: tuple[Block, ...], blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """Two messages of one role as one; their texts do not run into each other."""
    match before, blocks:
        case (*_, Text(last)), (Text(first), *_) if not (last[-1:] == "\n" or first[:1] == "\n"):
            return (*before, Text("\n\n"), *blocks)
    return (*before, *blocks)


def _blocks(content: Content, where: str) -> tuple[Block, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    blocks = (_block(block, f"{where}[{index}]") for index, block in enumerate(content))
    # Reasoning of agents that do not sign it: no provider takes that back.
    return tuple(b for b in blocks if not (isinstance(b, Thinking) and not b.signature))


def _block(block: dict[str, Any], where: str) -> Block:
    match block:
        case {"type": "text", "text": str(text)}:
            return Text(text)
        case {"type": "image", "source": dict(source)}:
            return _image(source, f"{where}.source")
        case {"type": "document", "source": dict(source)}:
            return _document(source, block.get("title"), f"{where}.source")
        case {"type": "thinking", "thinking": str(text), "signature": str(signature)}:
            return Thinking(text, signature)
        case {"type": "redacted_thinking", "data": str(data)}:
            return Thinking("", data, redacted=True)
        case {"type": "tool_use", "id": str(identity), "name": str(name), "input": dict(value)}:
            return ToolUse(identity, name, value)
        case {"type": "tool_result", "tool_use_id": str(identity)}:
            content = _result(block.get("content") or "", f"{where}.content")
            return ToolResult(identity, content, bool(block.get("is_error")))
    kind = str(block.get("type"))
    known = ("text", "image", "document", "thinking", "redacted_thinking", "tool_use")
    if kind in (*known, "tool_result"):
        raise InvalidRequest(f"a member of this {kind} block is missing or wrong", param=where)
    raise InvalidRequest(f"blocks of type {kind[:40]!r} are not supported", param=where)


def _image(source: dict[str, Any], where: str) -> Image:
    match source:
        case {"type": "base64", "media_type": str(media_type), "data": str(data)}:
            check_image(media_type, data, where)
            return Image(media_type, data)
        case {"type": "url"}:
            raise InvalidRequest(
                "images are fetched only where media.fetch_urls is on; give them as base64",
                param=where,
            )
    raise InvalidRequest("must be of type base64 with media_type and data", param=where)


def _document(source: dict[str, Any], title: object, where: str) -> Document:
    name = title if isinstance(title, str) else None
    match source:
        case {"type": "base64", "media_type": "application/pdf", "data": str(data)}:
            check_pdf(data, where)
            return Document("application/pdf", data, name)
        case {"type": "text", "media_type": "text/plain", "data": str(text)}:
            return Document("text/plain", text, name)
        case {"type": "content", "content": str() | list() as content}:
            texts = []
            for block in _blocks(content, where):
                if not isinstance(block, Text):
                    raise InvalidRequest("holds texts only", param=where)
                texts.append(block.text)
            return Document("text/plain", "\n".join(texts), name)
        case {"type": "url"}:
            raise InvalidRequest("documents are not fetched; give them as base64", param=where)
    raise InvalidRequest("must be a base64 PDF or a plain text", param=where)


def _result(content: object, where: str) -> tuple[Text | Image, ...]:
    if not isinstance(content, str | list):
        raise InvalidRequest("must be a text or a list of blocks", param=where)
    blocks: list[Text | Image] = []
    for block in _blocks(content, where):
        match block:
            case Text() | Image():
                blocks.append(block)
            case Document("text/plain", text):
                blocks.append(Text(text))
            case _:
                raise InvalidRequest("a result holds texts and images", param=where)
    return tuple(blocks)


def _text(block: dict[str, Any], where: str) -> str:
    match block:
        case {"type": "text", "text": str(text)}:
            return text
    raise InvalidRequest("must be a text block", param=where)
