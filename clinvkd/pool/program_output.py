"""What an agent's program prints when it is asked something, once per version of it.

Some facts an agent only tells by a command of its own, not in the protocol it serves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import structlog

from . import descendants
from .process import Process, Spawner

_log = structlog.get_logger(__name__)

_PATIENCE = 10.0  # seconds a command may take
_GRACE = 1.0  # seconds from SIGTERM to SIGKILL when it took longer
_OF_ONE_RUN = ("TMPDIR", descendants.MARKER)


class ProgramOutputs:
    """Runs commands and remembers what they printed; a failure is not remembered."""

    def __init__(self) -> None:
        self._known: dict[Hashable, bytes] = {}
        self._one = asyncio.Lock()

    async def get(
        self,
        spawner: Spawner,
        argv: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
    ) -> bytes | None:
        """All lines on the stdout of `argv`; None when it fails or takes too long.

        Another program file of the same path, or another environment, is asked anew.
        """
        async with self._one:
            try:
                key = await asyncio.to_thread(_identity, tuple(argv), environment)
                if key not in self._known:
                    self._known[key] = await _run(spawner, argv, cwd, environment)
                return self._known[key]
            except (OSError, ValueError, TimeoutError, _Failed) as error:
                _log.warning("command failed", command=list(argv), reason=repr(error))
                return None


class _Failed(Exception):
    """The command ended with an error; the text says how."""


def _identity(argv: tuple[str, ...], environment: Mapping[str, str]) -> Hashable:
    status = Path(argv[0]).stat()
    lasting = frozenset((name, environment[name]) for name in environment.keys() - _OF_ONE_RUN)
    return argv, status.st_mtime_ns, status.st_size, lasting


async def _run(
    spawner: Spawner, argv: Sequence[str], cwd: Path, environment: Mapping[str, str]
) -> bytes:
    lines: list[bytes] = []

    def ended(process: Process) -> None:
        """`Process.exited` tells it too."""

    marker = f"{environment.get(descendants.MARKER)}-asked"  # to end it must not end the agent
    process = await spawner.spawn(
        argv,
        cwd=cwd,
        environment={**environment, descendants.MARKER: marker},
        on_lines=lines.extend,
        on_exit=ended,
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            await process.exited.wait()
    finally:
        await process.stop(_GRACE, marker)  # with what it may have left behind
    if process.returncode != 0:
        tail = process.stderr_tail.splitlines()[-1:]
        raise _Failed(f"status {process.returncode}: {''.join(tail)[:300]}")
    return b"\n".join(lines)
