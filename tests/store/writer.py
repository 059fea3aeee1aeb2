"""A program that stores responses one after another and prints the id of each that is kept.

    python -m tests.store.writer DATABASE PREFIX [NUMBER]

Without a number it goes on until it is killed.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from .samples import opened, response


async def main(path: Path, prefix: str, number: int | None) -> None:
    async with opened(path) as store:
        for index in itertools.count() if number is None else range(number):
            response_id = f"{prefix}_{index}"
            await store.responses.put(response(response_id, status="in_progress"))
            print(response_id, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if sys.argv[3:] else None))
