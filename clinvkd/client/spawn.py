"""A daemon of one's own, for as long as one command takes."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from .address import Address, parse_address
from .connection import Client
from .failures import Failure, Unreachable

START = 30.0
"""Most seconds until it listens."""
STOP = 30.0
"""Most seconds it may take to end its agents and itself."""

_BANNER = "clinvk is listening on "


async def answers(address: Address, key: str | None) -> bool:
    """Whether a daemon listens there; one that refuses the key is one, too."""
    async with Client(address, key) as client:
        try:
            await client.call("GET", "backends")
        except Unreachable:
            return False
        except Failure:
            return True
    return True


@asynccontextmanager
async def spawned(config: Path | None) -> AsyncIterator[Address]:
    """Run `clinvk serve` on a free port of the loopback interface; stopped with the context.

    Args:
        config: its configuration file; None for the usual one.

    Raises:
        Unreachable: it did not come up; the message holds what it said.
    """
    named = ["--config", str(config)] if config else []
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "clinvkd",  # -P: no module of the folder we are in
            "serve", "--host", "127.0.0.1", "--port", "0", *named,
            stdin=DEVNULL, stdout=PIPE, stderr=log,
            process_group=0,  # Ctrl-C is for this command, which then stops the daemon
        )  # fmt: skip
        try:
            address = await _address(process)
            if address is None:
                log.seek(0)
                said = log.read().decode("utf-8", "replace").strip()
                raise Unreachable(f"the daemon that was started does not listen:\n{said}")
            yield address
        finally:
            await _stop(process)


async def _address(process: Process) -> Address | None:
    """Where it listens, once it does; None when it does not in time."""
    assert process.stdout is not None
    with suppress(TimeoutError):
        async with asyncio.timeout(START):
            async for line in process.stdout:
                if (text := line.decode().strip()).startswith(_BANNER):
                    return parse_address(text.removeprefix(_BANNER))
    return None


async def _stop(process: Process) -> None:
    """End it the way it likes, else at once."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP):
            await process.communicate()
    except BaseException as error:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if not isinstance(error, TimeoutError):
            raise
