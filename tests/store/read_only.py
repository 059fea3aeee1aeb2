"""A program that may not write to a directory, and what its store says to that.

    python -m tests.store.read_only DATABASE

Prints one JSON object. What a superuser may do beyond others is given up first.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import sys
from pathlib import Path

from clinvkd.errors import StoreUnavailable

from .samples import opened, response

_CAPABILITY_VERSION_3 = 0x20080522


def give_up_capabilities() -> None:
    """From here on the mode of a file counts, for a superuser too."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, none) != 0:
        raise OSError(ctypes.get_errno(), "capset")


async def main(path: Path) -> None:
    path.parent.chmod(0o500)
    if os.geteuid() == 0:
        give_up_capabilities()
    told: dict[str, object] = {}
    async with opened(path) as store:
        try:
            await store.responses.put(response("resp_1"))
        except StoreUnavailable as error:
            told["put"] = error.code
        told["reason"] = store.healthy()
        told["files"] = sorted(file.name for file in path.parent.iterdir())
    path.parent.chmod(0o700)
    print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
