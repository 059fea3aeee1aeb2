"""The ways of using libraries with tools and for objects that are tested; each has a row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from _pytest.mark import ParameterSet


@dataclass(frozen=True, slots=True)
class Way:
    """One way of using a client."""

    row: str
    """Its title in the table."""
    client: str
    """Environment and program."""
    name: str
    """The case of the program, or what the names of its cases begin with."""
    tells_schema: bool = False
    """Whether it is told the tool's JSON Schema; else it makes one of a function."""
    flags_errors: bool = False
    """Whether it says of a result that it is an error."""


def in_rows(ways: Iterable[Way]) -> list[ParameterSet]:
    """Values of the parameter `way`, with their rows."""
    return [
        pytest.param(way, id=f"{way.client}-{way.name}", marks=pytest.mark.row(way.row))
        for way in ways
    ]


_OPENAI, _OPENAI_JS = "openai-3/openai_tools", "node/openai_tools"
_ANTHROPIC, _ANTHROPIC_JS = "anthropic-2/anthropic_tools", "node/anthropic_tools"
_LANGCHAIN, _LANGCHAIN_JS = "openai-3/langchain_tools", "node/langchain_tools"
_PYDANTIC, _AGENTS = "openai-3/pydantic_ai_tools", "openai-3/agents_sdk_tools"
_INSTRUCTOR, _VERCEL = "openai-2/instructor_extraction", "node/ai_sdk_tools"

FUNCTIONS = Way("OpenAI SDK (Python), `functions`", _OPENAI, "functions", tells_schema=True)
"""The form before tools."""

TOOLS = [
    Way("OpenAI SDK (Python), chats", _OPENAI, "chat", tells_schema=True),
    Way("OpenAI SDK (Python), responses", _OPENAI, "responses", tells_schema=True),
    Way("OpenAI SDK (Python), `ResponsesToolRunner`", _OPENAI, "runner", tells_schema=True),
    Way("OpenAI SDK (JavaScript), `runTools`", _OPENAI_JS, "chat", tells_schema=True),
    Way(
        "OpenAI SDK (JavaScript), `ResponsesToolRunner`",
        _OPENAI_JS,
        "responses",
        tells_schema=True,
    ),
    Way(
        "Anthropic SDK (Python), messages",
        _ANTHROPIC,
        "messages",
        tells_schema=True,
        flags_errors=True,
    ),
    Way("Anthropic SDK (Python), `tool_runner`", _ANTHROPIC, "runner", flags_errors=True),
    Way(
        "Anthropic SDK (JavaScript), `toolRunner`",
        _ANTHROPIC_JS,
        "runner",
        tells_schema=True,
        flags_errors=True,
    ),
    Way("LangChain (Python), `ChatOpenAI`, `bind_tools`", _LANGCHAIN, "openai"),
    Way(
        "LangChain (Python), `ChatAnthropic`, `bind_tools`",
        _LANGCHAIN,
        "anthropic",
        flags_errors=True,
    ),
    Way("LangChain (JavaScript), `ChatOpenAI`, `bindTools`", _LANGCHAIN_JS, "openai"),
    Way("LangChain (JavaScript), `ChatAnthropic`, `bindTools`", _LANGCHAIN_JS, "anthropic"),
    Way("Pydantic AI, OpenAI chats", _PYDANTIC, "chat"),
    Way("Pydantic AI, OpenAI responses", _PYDANTIC, "responses"),
    Way("Pydantic AI, Anthropic", _PYDANTIC, "messages", flags_errors=True),
    Way("OpenAI Agents SDK, responses", _AGENTS, "responses"),
    Way("OpenAI Agents SDK, chats", _AGENTS, "chat"),
    Way("Vercel AI SDK, OpenAI responses", _VERCEL, "responses"),
    Way("Vercel AI SDK, OpenAI chats", _VERCEL, "chat"),
    Way("Vercel AI SDK, Anthropic", _VERCEL, "messages", flags_errors=True),
]
"""With a tool that is called, its results, and more calls."""

_CHAIN = [
    (f"LangChain ({language}), `{model}`, `{method}`", client, name)
    for language, client, method in (
        ("Python", _LANGCHAIN, "with_structured_output"),
        ("JavaScript", _LANGCHAIN_JS, "withStructuredOutput"),
    )
    for model, name in (("ChatOpenAI", "openai"), ("ChatAnthropic", "anthropic"))
]

CALLS_FOR_OBJECTS = [
    *(Way(f"{row} by a function", client, f"{name}_function") for row, client, name in _CHAIN),
    Way("Pydantic AI, OpenAI chats, `output_type`", _PYDANTIC, "chat_function"),
    Way("Pydantic AI, OpenAI responses, `output_type`", _PYDANTIC, "responses_function"),
    Way("Pydantic AI, Anthropic, `output_type`", _PYDANTIC, "messages_function"),
    Way("Instructor, `Mode.TOOLS`", _INSTRUCTOR, "function"),
    Way("Vercel AI SDK, Anthropic, `generateObject`", _VERCEL, "messages_function"),
]
"""Where an object is what a function is called with."""

OBJECTS = [
    *(Way(f"{row} by a schema", client, f"{name}_schema") for row, client, name in _CHAIN),
    Way("Pydantic AI, OpenAI chats, `NativeOutput`", _PYDANTIC, "chat_schema"),
    Way("Pydantic AI, OpenAI responses, `NativeOutput`", _PYDANTIC, "responses_schema"),
    Way("Pydantic AI, Anthropic, `NativeOutput`", _PYDANTIC, "messages_schema"),
    Way("Instructor, `Mode.JSON_SCHEMA`", _INSTRUCTOR, "schema"),
    Way("OpenAI Agents SDK, responses, `output_type`", _AGENTS, "responses_schema"),
    Way("OpenAI Agents SDK, chats, `output_type`", _AGENTS, "chat_schema"),
    Way("Vercel AI SDK, OpenAI responses, `generateObject`", _VERCEL, "responses_schema"),
    Way("Vercel AI SDK, OpenAI chats, `generateObject`", _VERCEL, "chat_schema"),
    Way(
        "Vercel AI SDK, Anthropic, `generateObject` with `outputFormat`", _VERCEL, "messages_schema"
    ),
]
"""Where an object is the answer, by the dialect's own field for a form."""
