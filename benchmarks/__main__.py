"""`python -m benchmarks [BENCH ...] [--runs N] [--write]`; the benches are those of `BENCHES`."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from . import chat, first_text, gate, idle, live, overhead, sessions, streams, tool_round_trip
from .report import Section, render, write

BENCHES: dict[str, Callable[[Path, int], Awaitable[Section]]] = {
    "first-text": first_text.measure,
    "chat": chat.measure,
    "tool-round-trip": tool_round_trip.measure,
    "overhead": overhead.measure,
    "stream": streams.measure,
    "live": live.measure,
    "sessions": sessions.measure,
    "gate-cost": gate.cost,
    "gate-slow": gate.slow_peers,
    "idle": idle.measure,
}


async def main() -> None:
    """Run what was asked for, print it, and with `--write` keep it in the documentation."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("benches", nargs="*", choices=[*BENCHES, []], help="default: all")
    parser.add_argument("--runs", type=int, default=9, help="runs of each case [9]")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    sections = []
    for name in options.benches or BENCHES:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            section = await BENCHES[name](Path(folder), options.runs)
        print(render(section), flush=True)
        sections.append(section)
    if options.write:
        today = datetime.now(UTC).date().isoformat()
        machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
        write(sections, f"Measured on {today} with Python {platform.python_version()}, {machine}.")


asyncio.run(main())
