"""Waits for processes to end that are not children of this one."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from .container import PATIENCE


class Watch:
    """Sees processes end. They must be alive when it begins; nobody else gets their ids then.

    Args:
        pids: of the processes; any, not only children.
    """

    def __init__(self, pids: Sequence[int] | set[int], stack: ExitStack) -> None:
        self._poll = stack.enter_context(select.epoll())
        self._open: dict[int, int] = {}
        for pid in pids:
            descriptor = os.pidfd_open(pid)
            stack.callback(os.close, descriptor)
            self._open[descriptor] = pid
            self._poll.register(descriptor, select.EPOLLIN)

    def fileno(self) -> int:
        """A descriptor that is readable once one has ended."""
        return self._poll.fileno()

    def next(self) -> set[int]:
        """Wait until some end; which.

        Raises:
            TimeoutError: none does.
        """
        ended = self._poll.poll(PATIENCE)
        if not ended:
            raise TimeoutError(f"these do not end: {sorted(self._open.values())}")
        for descriptor, _ in ended:
            self._poll.unregister(descriptor)
        return {self._open.pop(descriptor) for descriptor, _ in ended}

    def all(self) -> None:
        """Wait until all have ended.

        Raises:
            TimeoutError: some do not.
        """
        while self._open:
            self.next()


@contextmanager
def watching(pids: Sequence[int] | set[int]) -> Iterator[Watch]:
    """See these processes end."""
    with ExitStack() as stack:
        yield Watch(pids, stack)
