"""One text made of the messages that an agent writes between its tool calls."""

from __future__ import annotations

from collections.abc import Hashable


class Paragraphs:
    """Sets the messages of one turn apart by a blank line, unless a line break does so already."""

    def __init__(self) -> None:
        self._source: Hashable = None
        self._before = ""

    def add(self, piece: str, source: Hashable) -> str:
        """What to give for the next piece of the message `source`."""
        if not piece:
            return piece
        if source != self._source:
            self._source = source
            if self._before and not self._before.endswith("\n") and not piece.startswith("\n"):
                piece = "\n\n" + piece
        self._before = piece
        return piece
