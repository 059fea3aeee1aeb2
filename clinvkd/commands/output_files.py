"""The files of `clinvk parallel` with `output_dir`: a summary, and one for each task."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click

from ..client import Failure
from .results import Result

_LONGEST = 64


def make_directory(directory: Path) -> None:
    """Make the directory before anything is run for it.

    Raises:
        UsageError: that is not possible.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"{directory}: cannot be made: {error.strerror}") from None


def write_results(directory: Path, result: Result) -> None:
    """Write `summary.json` and `NNN_<name>.json` for each task, counted from 001, in a directory.

    Files of these names are replaced.

    Raises:
        Failure: they cannot be written.
    """
    parts = result["results"]
    names = [
        f"{number:03}_{_word(part.get('name') or part.get('id') or part['backend'])}.json"
        for number, part in enumerate(parts, 1)
    ]
    listed = [
        {**{key: value for key, value in part.items() if key != "output"}, "file": name}
        for part, name in zip(parts, names, strict=True)
    ]
    try:
        for part, name in zip(parts, names, strict=True):
            _write(directory / name, part)
        _write(directory / "summary.json", {**result, "results": listed})
    except OSError as error:
        raise Failure(
            f"{directory}: cannot be written: {error.strerror}", code="io_error", type="io_error"
        ) from None


def _word(text: str) -> str:
    """What may be part of a file's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:_LONGEST]


def _write(file: Path, value: Any) -> None:
    file.write_text(f"{json.dumps(value, indent=2, ensure_ascii=False)}\n", "utf-8")
