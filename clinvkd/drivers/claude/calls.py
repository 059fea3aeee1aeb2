"""Calls of the caller's tools, as the provider streams them through Claude Code."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic_core import to_json

from ...events import Event, MessagesApiEvent, Request, RequestArguments, RequestStarted
from ..base import Json
from ..decoding import decoded
from .tools import ClientTools


class Calls:
    """The calls of one turn.

    Attributes:
        names: the caller's names of the tools called so far, by the ids of the calls.
        broken: the caller's name of a tool called with what is no JSON object, or None.
    """

    def __init__(self, tools: ClientTools) -> None:
        self.names: dict[str, str] = {}
        self.broken: str | None = None
        self._tools = tools
        self._call = ""
        self._index: int | None = None
        self._input: Json = {}
        self._pieces: list[str] = []
        self._hidden: int | None = None

    def stream(self, event: Json) -> Iterator[Event]:
        """What an event of the provider's stream tells of them."""
        match event:
            case {
                "type": "content_block_start",
                "index": int(index),
                "content_block": {
                    "type": "tool_use",
                    "id": str(call),
                    "name": str(agents),
                } as block,
            } if (name := self._tools.callers_name(agents)) is not None:
                self._index, self._call, self._input = index, call, block.get("input") or {}
                self.names[call] = name
                yield RequestStarted(call, name)
            case {
                "type": "content_block_delta",
                "index": int(index),
                "delta": {"type": "input_json_delta", "partial_json": str(piece)},
            } if index == self._index and piece:
                self._pieces.append(piece)
                yield RequestArguments(self._call, piece)
            case {"type": "content_block_stop", "index": int(index)} if index == self._index:
                yield from self._complete()

    def raw(self, event: Json) -> Iterator[MessagesApiEvent]:
        """An event of the provider's stream, for a caller who wants those.

        The caller's tools have the caller's names in it. Calls of the agent's own tools, which it
        also runs by itself, are left out.
        """
        match event:
            case {
                "type": "content_block_start",
                "index": int(index),
                "content_block": {"type": "tool_use", "name": str(agents)} as block,
            }:
                if (name := self._tools.callers_name(agents)) is None:
                    self._hidden = index
                else:
                    yield MessagesApiEvent({**event, "content_block": {**block, "name": name}})
            case {"index": int(index)} if index == self._hidden:
                if event["type"] == "content_block_stop":
                    self._hidden = None
            case _:
                yield MessagesApiEvent(event)

    def _complete(self) -> Iterator[Event]:
        name, text = self.names[self._call], "".join(self._pieces)
        self._index = None
        self._pieces.clear()
        if not text:
            text = to_json(self._input, inf_nan_mode="null").decode()
            yield RequestArguments(self._call, text)
        try:
            arguments = decoded(text)
        except ValueError:
            arguments = None
        if isinstance(arguments, dict):
            yield Request(self._call, name, arguments)
        else:
            self.broken = name
