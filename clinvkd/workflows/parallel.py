"""Several prompts at once."""

from __future__ import annotations

import asyncio

from ..engine import Engine
from .lanes import Lane, Outcome, Tell, Workflow


class Parallel(Workflow):
    """Lanes that run at the same time, in the order of the request as far as they wait.

    Args:
        most: most lanes that run at once; of one backend never more than its pool has room for,
            so that none of them waits there in a queue that may turn it away.
        fail_fast: the first failure stops all others.
    """

    def __init__(
        self, engine: Engine, lanes: list[Lane], *, most: int, fail_fast: bool = False
    ) -> None:
        super().__init__(engine, lanes)
        self._most = most
        self._fail_fast = fail_fast

    async def play(self, tell: Tell) -> None:
        """Run all; those that were stopped tell so at the end."""
        slots = asyncio.Semaphore(self._most)
        rooms = {
            backend: asyncio.Semaphore(self._engine.room(backend))
            for backend in {lane.prompt.backend for lane in self.lanes}
        }
        tasks: list[asyncio.Task[None]] = []

        async def run(lane: Lane) -> None:
            # The room first: a lane that waits for its backend takes no slot from others.
            async with rooms[lane.prompt.backend], slots:
                await lane.run(self._engine, tell)
            if self._fail_fast and lane.outcome is Outcome.FAILED:
                for task, other in zip(tasks, self.lanes, strict=True):
                    # One that has ended tells of it yet, one that was stopped is clearing up.
                    if other.outcome is None and not task.cancelling():
                        task.cancel()

        async with asyncio.TaskGroup() as group:
            tasks += (group.create_task(run(lane)) for lane in self.lanes)
        for lane in self.lanes:
            if lane.outcome is None:
                await lane.cancel(tell)
