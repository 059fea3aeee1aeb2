"""The list of commands, which is made without importing them."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from clinvkd.cli import COMMANDS, main
from clinvkd.commands.lazy import Lazy

HEAVY = ("aiohttp", "pydantic", "pydantic_core", "rich", "sqlalchemy", "structlog", "yaml")


def test_help_imports_no_more_than_it_needs() -> None:
    code = (
        "import sys\nfrom clinvkd.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert all(f"\n  {name} " in done.stdout for name in main.commands)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_summary_is_what_the_command_says_of_itself(name: str) -> None:
    entry = COMMANDS[name]
    assert isinstance(entry, Lazy)
    command = main.get_command(click.Context(main), name)
    assert command is not None
    said = command.get_short_help_str(limit=200)
    assert said.startswith(entry.summary.removesuffix("."))
