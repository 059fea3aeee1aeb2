"""Turns pydantic's validation errors into lines a person can act on.

Each line names the key, what was given, what is allowed and where it was written.
A value is quoted only if its key is known and not a secret: an unknown key may well be a
misspelt `api_keys`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from . import fields
from .fields import Place
from .sources import PREFIX, Source
from .yaml_file import KeyPath

_LONGEST_QUOTE = 60


def describe(
    error: ValidationError, model: type[BaseModel], sources: Sequence[Source]
) -> tuple[str, ...]:
    """One line per problem, in the order of the models; `sources` begin with the strongest."""
    found = error.errors(include_url=False)
    inner = [details["loc"][:-1] for details in found]
    return tuple(
        _line(details, model, sources)
        for details in found
        # pydantic counts only the good items of a list: the bad ones are the problem, not the count
        if details["type"] != "too_short" or details["loc"] not in inner
    )


def _where(path: KeyPath, sources: Sequence[Source]) -> str | None:
    """Where the value at `path` was written, or for a missing one the nearest thing around it."""
    for length in range(len(path), 0, -1):
        for source in sources:
            if where := source.where(path[:length]):
                return where
    for source in sources:
        for place, text in source.origins.items():
            if place[: len(path)] == path:
                return text
    return None


def dotted(path: KeyPath) -> str:
    """A key path as it is written in messages: `backends.claude.command[0]`."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def _line(details: ErrorDetails, model: type[BaseModel], sources: Sequence[Source]) -> str:
    path: KeyPath = details["loc"]
    where = _where(path, sources)
    if path and path[-1] == "[key]":
        path = path[:-1]
        wrong = "is not a valid name, allowed is " + _expectation(details, None)
    elif details["type"] == "extra_forbidden":
        wrong = "unknown key" + _suggestion(
            path, model, _variable if where and where.startswith(PREFIX) else dotted
        )
    elif details["type"] == "missing":
        place = fields.find(model, path)
        wrong = "is missing, allowed is " + _expectation(details, place)
    else:
        place = fields.find(model, path)
        wrong = f"is {_given(details['input'], place)}, allowed is {_expectation(details, place)}"
    return f"{dotted(path)}: {wrong}" + (f" ({where})" if where else "")


def _expectation(details: ErrorDetails, place: Place | None) -> str:
    match details["type"]:
        case "value_error":
            return str(details["ctx"]["error"])
        case "string_pattern_mismatch":
            return f"a text that matches {details['ctx']['pattern']}"
        case "too_short":
            return "a list of at least one text"
    return place.allowed if place else "something else"


def _given(value: Any, place: Place | None) -> str:
    match value:
        case None:
            return "null"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list" if value else "an empty list"
        case _ if place is None or place.secret:
            return "a value that is not shown"
        case bool():
            return str(value).lower()
        case str():
            text = repr(value)
            return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "..."
        case _:
            return str(value)


def _suggestion(path: KeyPath, model: type[BaseModel], spell: Callable[[KeyPath], str]) -> str:
    """The close matches beside the unknown key or, failing that, anywhere; else what there is."""
    name = str(path[-1])
    section = fields.find(model, path[:-1])
    siblings = fields.keys(section) if section else ()
    if close := difflib.get_close_matches(name, siblings, n=3, cutoff=0.7):
        return ", did you mean " + " or ".join(spell((*path[:-1], key)) for key in close) + "?"
    elsewhere = {leaf[-1]: leaf for leaf in fields.leaves(model)}
    if close := difflib.get_close_matches(name, elsewhere, n=1, cutoff=0.8):
        return f", did you mean {spell(elsewhere[close[0]])}?"
    return ", known here are " + ", ".join(siblings)


def _variable(path: KeyPath) -> str:
    return PREFIX + "__".join(str(key).upper() for key in path)
