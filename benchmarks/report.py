"""Figures as tables, on the terminal and in `docs/performance.md`."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"


@dataclass(frozen=True)
class Section:
    """One table.

    Attributes:
        name: names the place in the page that it replaces.
        heading: what was measured.
        columns: their titles.
        rows: the cells.
        notes: how it was measured.
    """

    name: str
    heading: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: list[str] = field(default_factory=list)


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def seconds(values: Sequence[float]) -> str:
    """Median and range in milliseconds."""
    low, middle, high = (1000 * v for v in (min(values), median(values), max(values)))
    return f"{middle:.1f} ms [{low:.1f} to {high:.1f}]"


def render(section: Section) -> str:
    """The section as Markdown."""
    table = [section.columns, tuple("---" for _ in section.columns), *section.rows]
    lines = [f"## {section.heading}", ""]
    lines += ["| " + " | ".join(row) + " |" for row in table]
    lines += ["", *section.notes, ""]
    return "\n".join(lines)


def write(sections: Sequence[Section], stamp: str) -> None:
    """Replace the sections' places in the page; others stay as they are."""
    page = PAGE.read_text(encoding="utf-8")
    for section in sections:
        begin, end = f"<!-- {section.name} -->", f"<!-- end {section.name} -->"
        body = f"{begin}\n{render(section)}\n{stamp}\n{end}"
        place = re.search(re.escape(begin) + ".*?" + re.escape(end), page, flags=re.DOTALL)
        if place is None:
            page += f"\n{body}\n"
        else:
            page = page[: place.start()] + body + page[place.end() :]
    PAGE.write_text(page, encoding="utf-8")
