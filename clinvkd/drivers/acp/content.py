"""Messages as ACP content blocks, natively or as one marked text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pydantic_core import to_json

from ...prompt import Audio, Block, Image, Message, OutputSchema, Text, ToolResult, ToolUse
from ..base import Json

_GUARD = "\u200b"
"""Zero-width space: not trimmed, so what follows is not at the beginning of the text."""


def text_block(text: str) -> Json:
    """A text block."""
    return {"type": "text", "text": text}


def content_blocks(content: Iterable[Block], tools: bool = False) -> list[Json]:
    """The blocks of one message.

    Args:
        tools: calls and results of tools are blocks of our extension; else they become text.
    """
    return [block for part in content for block in (_tool_block(part) if tools else _blocks(part))]


def prompt_blocks(messages: Sequence[Message], guarded: str, tools: bool = False) -> list[Json]:
    """What is new in a turn, as the content of one ``session/prompt``.

    Args:
        messages: user messages; several are set apart by blank lines.
        guarded: first characters the agent would take for a command.
        tools: see `content_blocks`.
    """
    blocks = _joined(
        block
        for index, message in enumerate(messages)
        for block in [
            *([text_block("\n\n")] if index else []),
            *content_blocks(message.content, tools),
        ]
    )
    match blocks:
        case [{"type": "text", "text": str(text)}, *_] if text.lstrip()[:1] in tuple(guarded):
            blocks[0] = text_block(_GUARD + text)
    return blocks


def form_block(output: OutputSchema) -> Json:
    """What asks for a form of answer in words, where the agent has no switch for it."""
    schema = to_json(output.schema).decode()
    return text_block(
        "\n\nAnswer with nothing but one JSON value, without a code fence, that this JSON Schema"
        f" accepts:\n{schema}"
    )


def flattened(system: str | None, history: Sequence[Message], new: list[Json]) -> list[Json]:
    """A conversation as one prompt, for agents that cannot be given roles.

    Images and recordings stay what they are, at the place where they were said.
    """
    blocks: list[Json] = []
    if system:
        blocks.append(text_block(f"<system>\n{system}\n</system>\n\n"))
    if history:
        blocks.append(text_block("<conversation>\n"))
        for message in history:
            blocks.append(text_block(f"<{message.role}>\n"))
            blocks.extend(content_blocks(message.content))
            blocks.append(text_block(f"\n</{message.role}>\n"))
        blocks.append(
            text_block("</conversation>\n\nGo on with this conversation. The user now says:\n\n")
        )
    return _joined([*blocks, *new])


def _blocks(part: Block) -> Iterator[Json]:
    match part:
        case Text(text):
            yield text_block(text)
        case Image(media_type, data):
            yield {"type": "image", "mimeType": media_type, "data": data}
        case Audio(media_type, data):
            yield {"type": "audio", "mimeType": media_type, "data": data}
        case ToolUse(identifier, name, arguments):
            yield text_block(
                f"\n<tool_call id={identifier!r} name={name!r}>"
                f"{to_json(arguments).decode()}</tool_call>\n"
            )
        case ToolResult(identifier, content, is_error):
            status = " status='error'" if is_error else ""
            yield text_block(f"\n<tool_result id={identifier!r}{status}>")
            yield from content_blocks(content)
            yield text_block("</tool_result>\n")


def _tool_block(part: Block) -> Iterator[Json]:
    match part:
        case ToolUse(identifier, name, arguments):
            yield {"type": "tool_use", "id": identifier, "name": name, "input": arguments}
        case ToolResult(identifier, content, is_error):
            yield {
                "type": "tool_result",
                "toolUseId": identifier,
                "content": content_blocks(content),
                "isError": is_error,
            }
        case _:
            yield from _blocks(part)


def _joined(blocks: Iterable[Json]) -> list[Json]:
    """Neighbouring texts as one block, since some agents put a line break between blocks."""
    joined: list[Json] = []
    for block in blocks:
        match joined, block:
            case [*_, {"type": "text", "text": str(before)}], {"type": "text", "text": str(text)}:
                joined[-1] = text_block(before + text)
            case _:
                joined.append(block)
    return joined
