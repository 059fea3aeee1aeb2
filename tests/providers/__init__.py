"""Fake model providers: HTTP servers on loopback that the real agent CLIs take for their vendors.

    async with AnthropicProvider() as provider:
        ...                                   # run an agent with ANTHROPIC_BASE_URL=provider.url
        request = await provider.wait_for_turn()

What is answered is told by the prompt or by a callable: see `script`.
"""

from __future__ import annotations

from .anthropic import AnthropicProvider
from .chat import ChatProvider
from .gemini import GeminiProvider
from .recording import Conversation, Kind, RecordedRequest, Utterance
from .responses import ResponsesProvider
from .script import (
    DEFAULT_TEXT,
    Failure,
    Reply,
    Script,
    ScriptError,
    ToolCall,
    Usage,
    in_turn,
    obey_directives,
)
from .server import FakeProvider

PROVIDERS: dict[str, type[FakeProvider]] = {
    "anthropic": AnthropicProvider,
    "responses": ResponsesProvider,
    "gemini": GeminiProvider,
    "chat": ChatProvider,
}
"""The providers by the name of their module."""

__all__ = [
    "DEFAULT_TEXT",
    "PROVIDERS",
    "AnthropicProvider",
    "ChatProvider",
    "Conversation",
    "Failure",
    "FakeProvider",
    "GeminiProvider",
    "Kind",
    "RecordedRequest",
    "Reply",
    "ResponsesProvider",
    "Script",
    "ScriptError",
    "ToolCall",
    "Usage",
    "Utterance",
    "in_turn",
    "obey_directives",
]
