"""The directives of the echo agent's prompts: how they are written and what they carry.

What each one does is told in :mod:`clinvkd.agents.echo`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from .jsonrpc import INVALID_PARAMS, RequestError

MAXIMUM_SECONDS = 86_400.0
MAXIMUM_CHUNKS = 1_000_000

ANSWERS = ("history", "options", "model", "env", "cwd", "image")
"""Directives that put something else in the place of the echoed text."""

_DIRECTIVE = re.compile(
    r"\[\[\s*(?:"
    r"(?P<name>slow|silent|long|think|ask|fail|exit)\s+(?P<argument>.*?)\]\]"
    rf"|(?P<answer>{'|'.join(ANSWERS)})\s*\]\]"
    r"|(?P<use>tool|call)\s+(?P<tool>[^\s\]]+)\s*)",
    re.DOTALL,
)
_END = re.compile(r"\s*\]\]")
_JSON = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A pretended use of a tool, or a call of one of the client's."""

    name: str
    arguments: Any


@dataclass(slots=True)
class Directives:
    """What a prompt asks of the echo agent, and the text that is left of it."""

    text: str = ""
    slow: float = 0.0
    silent: float = 0.0
    long: int | None = None
    thoughts: list[str] = field(default_factory=list)
    tools: list[ToolUse] = field(default_factory=list)
    calls: list[ToolUse] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    fail: str | None = None
    exit: int | None = None


def parse(prompt: str) -> Directives:
    """Take the directives out of a prompt.

    Double brackets around anything else stay part of the text. Raises :class:`RequestError` for
    a directive with a wrong argument.
    """
    directives = Directives()
    text: list[str] = []
    position = 0
    # Without this end, each unclosed directive of a huge prompt would be searched to its end.
    end = prompt.rfind("]]") + 2 if "]]" in prompt else 0
    while match := _DIRECTIVE.search(prompt, position, end):
        text.append(prompt[position : match.start()])
        position = match.end()
        if match["tool"] is not None:
            arguments, position = _tool_arguments(prompt, position, match)
            uses = directives.tools if match["use"] == "tool" else directives.calls
            uses.append(ToolUse(match["tool"], arguments))
        elif match["answer"] is not None:
            directives.answers.append(match["answer"])
        else:
            _record(directives, match["name"], match["argument"].strip())
    text.append(prompt[position:])
    directives.text = "".join(text)
    return directives


def _record(directives: Directives, name: str, argument: str) -> None:
    match name:
        case "slow":
            directives.slow = _seconds(name, argument)
        case "silent":
            directives.silent = _seconds(name, argument)
        case "long":
            directives.long = _integer(name, argument, 1, MAXIMUM_CHUNKS)
        case "exit":
            directives.exit = _integer(name, argument, 0, 255)
        case "think":
            directives.thoughts.append(argument)
        case "ask":
            directives.questions.append(argument)
        case "fail":
            directives.fail = argument


def _tool_arguments(prompt: str, position: int, match: re.Match[str]) -> tuple[Any, int]:
    """Arguments and end of a ``[[tool NAME JSON]]`` whose JSON may itself hold brackets."""
    directive, name = match["use"], match["tool"]
    arguments: Any = {}
    if not _END.match(prompt, position):
        try:
            arguments, position = _JSON.raw_decode(prompt, position)
        except (ValueError, RecursionError) as error:
            raise _wrong(directive, f"JSON after {name}") from error
    end = _END.match(prompt, position)
    if end is None:
        raise _wrong(directive, f"one JSON value and ]] after {name}")
    if directive == "call" and not isinstance(arguments, dict):
        raise _wrong(directive, f"a JSON object after {name}")
    return arguments, end.end()


def _seconds(name: str, argument: str) -> float:
    try:
        seconds = float(argument)
    except ValueError as error:
        raise _wrong(name, "a number of seconds") from error
    if not 0 <= seconds <= MAXIMUM_SECONDS:
        raise _wrong(name, f"0 to {MAXIMUM_SECONDS:.0f} seconds")
    return seconds


def _integer(name: str, argument: str, minimum: int, maximum: int) -> int:
    try:
        number = int(argument)
    except ValueError as error:
        raise _wrong(name, "a whole number") from error
    if not minimum <= number <= maximum:
        raise _wrong(name, f"{minimum} to {maximum}")
    return number


def _wrong(name: str, expected: str) -> RequestError:
    return RequestError(INVALID_PARAMS, f"directive [[{name}]] takes {expected}")
