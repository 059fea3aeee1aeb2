"""The HTTP APIs: one dialect each over the same turns."""

from __future__ import annotations

import asyncio

from .anthropic import AnthropicDialect
from .dialect import Dialect
from .meta import MetaDialect
from .native import NativeDialect
from .openai import OpenAIDialect

DIALECTS: tuple[type[Dialect], ...] = (
    NativeDialect,
    OpenAIDialect,
    AnthropicDialect,
    MetaDialect,
)
"""In the order in which their prefixes are tried; the last one takes everything."""


def dialect_of(path: str) -> type[Dialect]:
    """The dialect whose errors a path is answered with, known or not."""
    for dialect in DIALECTS[:-1]:
        if path.startswith(dialect.prefix):
            return dialect
    return DIALECTS[-1]


async def build_models() -> None:
    """Build the models of all routes, which are made unbuilt: the start does not wait for them.

    A request that comes before its model was built builds it. The event loop is never held up
    for longer than one model takes, some milliseconds.
    """
    for dialect in DIALECTS:
        for declared in dialect.endpoints:
            for model in declared.models:
                model.model_rebuild()
                await asyncio.sleep(0)
