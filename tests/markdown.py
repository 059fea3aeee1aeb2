"""Reads the documentation's pages: prose, fenced blocks, sections, tables and anchors."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path

HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@cache
def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def blocks(page: Path, language: str) -> list[str]:
    found = _FENCE.findall(page.read_text(encoding="utf-8"))
    return [text for name, text in found if name == language]


def block_of(page: Path, language: str, part: str) -> str:
    """The first block that holds a text."""
    return next(text for text in blocks(page, language) if part in text)


def words_of(line: str) -> list[str]:
    """The words of a shell's command."""
    return shlex.split(line, comments=True)


def headings(page: Path, level: int) -> list[str]:
    return [text for marks, text in HEADING.findall(prose(page)) if len(marks) == level]


def section(page: Path, heading: str) -> str:
    """The text under a heading, up to the next heading of its level or a higher one."""
    text = prose(page)
    found = next(match for match in HEADING.finditer(text) if match[2] == heading)
    level = len(found[1])
    later = (m.start() for m in HEADING.finditer(text, found.end()) if len(m[1]) <= level)
    return text[found.end() : next(later, len(text))]


def tables(text: str) -> list[list[list[str]]]:
    """The cells of each table, without its head."""
    return [
        [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines()[2:]]
        for table in re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE)
    ]


def first_column(text: str) -> set[str]:
    """All code in the first column of the first table."""
    return {name for row in tables(text)[0] for name in CODE.findall(row[0])}


def anchors(page: Path) -> set[str]:
    texts = [text for _, text in HEADING.findall(prose(page))]
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}
