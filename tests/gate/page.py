"""The tables in `docs/security.md`: made by the tests, and compared with what they find."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "docs" / "security.md"
WRITE = "CLINVK_TEST_WRITE_TABLES"
"""The variable that has the tests write what they find."""


def check_page(name: str, lines: Sequence[str]) -> None:
    """Compare a table with the page, or write it there."""
    begin, end = f"<!-- {name}: made by tests/gate -->", f"<!-- end {name} -->"
    page = PAGE.read_text(encoding="utf-8")
    found = re.search(re.escape(begin) + "\n(.*?)\n" + re.escape(end), page, flags=re.DOTALL)
    assert found, f"{PAGE.name} has no place for the table {name!r}"
    text = "\n".join(lines)
    if os.environ.get(WRITE):
        PAGE.write_text(page[: found.start(1)] + text + page[found.end(1) :], encoding="utf-8")
        return
    assert found[1] == text, f"write the table with: {WRITE}=1 pytest tests/gate"
