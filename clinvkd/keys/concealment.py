"""Keeps what this process knows from other processes of the same user, above all its agents."""

from __future__ import annotations

import ctypes
import sys

_PR_SET_DUMPABLE = 4


def conceal() -> bool:
    """Close memory, environment and descriptors of this process to others. Linux only.

    Otherwise every process of the same user may read them under /proc, and the kernel writes them
    into a core dump. What is started from here is not affected: exec sets it back.

    Returns:
        Whether it is so now.
    """
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
