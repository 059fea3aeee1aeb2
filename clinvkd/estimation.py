"""About how many tokens a conversation has, where nobody who knows tells."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic_core import to_json

from .prompt import Document, Image, Message, Text, Thinking, ToolResult, ToolUse
from .shaping import BYTES_PER_TOKEN

IMAGE_TOKENS = 1_600
"""What an image counts for: about the most the Messages API charges for one."""


def estimated_tokens(system: str | None, history: Iterable[Message]) -> int:
    """An estimate for a system prompt and messages; at least 1."""
    size = len((system or "").encode(errors="replace"))
    images = messages = 0
    for message in history:
        messages += 1
        for block in message.content:
            match block:
                case Text(text) | Document(data=text) | Thinking(text):
                    size += len(text.encode(errors="replace"))
                case Image():
                    images += 1
                case ToolUse(input=value):
                    size += len(to_json(value))
                case ToolResult(content=content):
                    images += sum(isinstance(part, Image) for part in content)
                    texts = (part.text for part in content if isinstance(part, Text))
                    size += sum(len(text.encode(errors="replace")) for text in texts)
    return max(1, size // BYTES_PER_TOKEN + images * IMAGE_TOKENS + 4 * messages)
