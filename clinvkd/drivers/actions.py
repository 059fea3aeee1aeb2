"""What an agent wants to do, in a line for the person who decides whether it may."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic_core import to_json

_TELLING: Final = (
    "command", "file_path", "filePath", "filepath", "notebook_path", "path", "url", "query",
    "pattern", "title",
)  # fmt: skip
"""Members of a tool's input that say more than all others, the most telling first."""

_LONGEST: Final = 1000


def summary_of(tool: str, arguments: object, reason: str | None = None) -> str:
    """The tool, what it is to be used on, and why; long texts are cut, and show it.

    Args:
        arguments: the tool's input, as far as it is known.
        reason: the agent's or its model's own words, or None.
    """
    subject = _subject(arguments)
    line = f"{tool}: {_cut(subject)}" if subject else tool
    return f"{line} ({_cut(reason)})" if reason else line


def _subject(arguments: object) -> str:
    match arguments:
        case None:
            return ""
        case str(text):
            return text
        case Mapping() if not arguments:
            return ""
        case Mapping():
            for name in _TELLING:
                match arguments.get(name):
                    case str(text) if text:
                        return text
                    case list(words) if words:
                        return " ".join(map(str, words))
    return to_json(arguments).decode()


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " [...]"
