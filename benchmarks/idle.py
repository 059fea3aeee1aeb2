"""The daemon at rest: memory, and how soon after its start it is ready and answers."""

from __future__ import annotations

import time
from pathlib import Path

from .daemon import daemon
from .report import Section, median, seconds

MEBIBYTE = 1024 * 1024


async def measure(folder: Path, runs: int) -> Section:
    """Start it again and again; `/health` is asked as soon as the address is printed."""
    ready: list[float] = []
    processor: list[float] = []
    starts: list[float] = []
    memory: list[float] = []
    resident = 0.0
    for number in range(runs):
        place = folder / str(number)
        place.mkdir()
        async with daemon(place, {"default_backend": "echo"}) as served:
            times = served.process.cpu_times()
            processor.append(times.user + times.system)
            ready.append(served.ready - served.started)
            await served.health()
            starts.append(time.monotonic() - served.started)
            await served.spare("echo")
            memory.append(served.process.memory_full_info().uss / MEBIBYTE)
            resident = served.process.memory_info().rss / MEBIBYTE
    return Section(
        "idle",
        "The daemon at rest",
        (
            "start to ready",
            "processor time until then",
            "start to first answer of /health",
            "memory of its own",
            "resident",
        ),
        [
            (
                seconds(ready),
                seconds(processor),
                seconds(starts),
                f"{median(memory):.0f} MiB",
                f"{resident:.0f} MiB",
            )
        ],
        [f"Medians of {runs} starts; the daemon alone, without its agents."],
    )
