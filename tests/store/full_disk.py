"""A program whose files may not grow beyond a limit, and what its store says to that.

    python -m tests.store.full_disk DATABASE

Prints one JSON object: what each step gave.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from pathlib import Path

from clinvkd.errors import StoreUnavailable
from clinvkd.store import Store

from .samples import opened, response

ROOM = 200_000
BIG = "x" * 10 * ROOM


async def outcome(store: Store, response_id: str, text: str) -> str:
    try:
        await store.responses.put(response(response_id, request={"input": text}))
    except StoreUnavailable as error:
        return error.code
    return "kept"


def limit(most_bytes: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))


async def main(path: Path) -> None:
    told: dict[str, object] = {}
    async with opened(path) as store:
        told["before"] = await outcome(store, "before", "")
        used = max(file.stat().st_size for file in path.parent.iterdir())
        limit(used + ROOM)
        told["big"] = await outcome(store, "big", BIG)
        told["reason"] = store.healthy()
        told["read while full"] = await store.responses.get("before", "alice") is not None
        told["together"] = await asyncio.gather(
            outcome(store, "small 1", ""),
            outcome(store, "big", BIG),
            outcome(store, "small 2", ""),
        )
        limit(resource.RLIM_INFINITY)
        told["after"] = await outcome(store, "after", BIG)
        told["reason after"] = store.healthy()
    print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
