"""The programs that can make a container of a tree: systemd-nspawn, or else unshare.

Both give it a process table, a network (loopback only) and control groups of its own, and a layer
in memory that takes what is written. nspawn is the usual way, and has more of a wall.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

_NSPAWN = (
    *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network"),
    # Written is only to a layer in memory; `read-only` lets several containers have one tree.
    *("--read-only", "--volatile=overlay", "--link-journal=no", "--console=pipe"),
    *("--resolv-conf=off", "--timezone=off", "--hostname=debian"),
)
_UNSHARED = Path(__file__).with_name("unshared.sh")


@dataclass(frozen=True, slots=True)
class Plan:
    """A container to be.

    Attributes:
        tree: its root, never written to.
        group: directory of a new control group of version 2; the container gets `payload` in it.
        scratch: an empty folder.
        mounts: what it sees of this machine, read-only: folders of this machine by its own paths.
    """

    tree: Path
    group: Path
    scratch: Path
    mounts: Mapping[str, Path]


Way: TypeAlias = Callable[[Plan, str], list[str]]
"""The command line that runs a program as the first process of a container; "" boots the tree.

It has to be run in the plan's group, and stays there until the container ends. Given a
`NOTIFY_SOCKET`, it says READY=1 there once the tree has booted.
"""


def nspawn(plan: Plan, program: str = "") -> list[str]:
    """By systemd-nspawn, of the package systemd-container."""
    return [
        *("env", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1", *_NSPAWN),
        *(f"--directory={plan.tree}", f"--machine={plan.group.name}"),
        *(f"--bind-ro={outer}:{inner}" for inner, outer in plan.mounts.items()),
        *([program] if program else ["--boot", "--notify-ready=yes"]),
    ]


def unshare(plan: Plan, program: str = "") -> list[str]:
    """By unshare and mount, of util-linux, which every Debian has."""
    argv = ["/bin/sh", str(_UNSHARED), str(plan.tree), str(plan.group), str(plan.scratch)]
    mounts = (each for inner, outer in plan.mounts.items() for each in (str(outer), inner))
    return [*argv, program or "/sbin/init", *mounts]


WAYS: dict[str, Way] = {"nspawn": nspawn, "unshare": unshare}
"""By name, the better one first."""
