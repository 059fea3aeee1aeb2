"""Prints the effective configuration as YAML, with the origin of every value that has one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .settings import Settings
from .sources import Source
from .yaml_file import KeyPath, scalar


def render(settings: Settings, sources: Sequence[Source]) -> str:
    """All settings as a YAML file that `clinvk` accepts, secrets redacted.

    A comment behind a value names the file and line, variable or flag it comes from; a value
    without comment is built in. `sources` begin with the strongest.
    """
    values = settings.model_dump(mode="json")
    for name, backend in settings.backends.items():
        values["backends"][name]["pool"] = backend.pool.model_dump(mode="json", exclude_unset=True)
    return "\n".join(_lines(values, (), sources)) + "\n"


def _lines(values: Mapping[str, Any], path: KeyPath, sources: Sequence[Source]) -> Iterator[str]:
    for key, value in values.items():
        here = (*path, key)
        start = "  " * len(path) + scalar(key) + ":"
        if isinstance(value, dict) and value:
            yield start
            yield from _lines(value, here, sources)
        else:
            origins = (source.where(here) for source in sources)
            origin = next((text for text in origins if text), None)
            yield f"{start} {_flow(value)}" + (f"  # {origin}" if origin else "")


def _flow(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{scalar(k)}: {_flow(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(_flow(item) for item in value) + "]"
        case float() if value.is_integer():
            return scalar(int(value))
        case _:
            return scalar(value)
