"""Boots a Debian tree in a container, by the first way that works here, and ends it."""

from __future__ import annotations

import os
import secrets
import select
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from clinvkd.pool.cgroup import Cgroup

from .container import PATIENCE, Container
from .tree import CannotBoot
from .watch import watching
from .ways import WAYS, Plan

FORCED = "CLINVK_TEST_CONTAINER"
"""Variable that names the only way to be tried."""

_CONTROL_GROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


@contextmanager
def booted(tree: Path, *, mounts: Mapping[str, Path], way: str = "") -> Iterator[Container]:
    """Boot a tree; everything in it is killed afterwards.

    Args:
        mounts: what it sees of this machine, read-only: folders of this machine by its own paths.
        way: one of `WAYS`; by default the one that is forced, else the first that works.

    Raises:
        CannotBoot: this machine does not let us have such containers; says what each way met with.
    """
    with ExitStack() as stack:
        group = stack.enter_context(_control_group())
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clinvk-boot-")))
        layer = scratch / "layer"
        layer.mkdir()
        plan = Plan(tree, group, layer, mounts)
        name = _first_that_works(plan, way or os.environ.get(FORCED, ""))
        output = stack.enter_context((scratch / "output").open("w+"))
        messages = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        messages.bind(str(scratch / "notify"))
        process = _start(group, WAYS[name](plan, ""), output, str(scratch / "notify"))
        stack.callback(_wait, process)
        stack.callback(Cgroup(group).kill)
        _wait_until_ready(messages, process, output)
        yield Container(_first_process(group), group / "payload", name)


def _first_that_works(plan: Plan, only: str) -> str:
    """The name of the way to go."""
    reasons = []
    for name, way in WAYS.items():
        if only in ("", name):
            # Without mounts: that a folder is missing would be our mistake, not this machine's.
            if not (reason := _trial(plan.group, way(replace(plan, mounts={}), "/bin/true"))):
                return name
            reasons.append(f"{name} cannot start a container: {reason}")
    raise CannotBoot("; ".join(reasons) or f"{FORCED}={only} is none of {', '.join(WAYS)}")


def _trial(group: Path, argv: Sequence[str]) -> str:
    """What keeps a container from starting; empty if nothing does."""
    with tempfile.TemporaryFile("w+") as output:
        status = _start(group, argv, output).wait(PATIENCE)
        output.seek(0)
        return output.read().strip() or f"exit status {status}" if status else ""


def _start(
    group: Path, argv: Sequence[str], output: IO[str], notify: str = ""
) -> subprocess.Popen[bytes]:
    """Start a program in a control group, from where it makes that of the container."""
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.Popen(
        Cgroup(group).entering(argv),
        env={**environment, "NOTIFY_SOCKET": notify} if notify else environment,
        stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Wait for a killed process, but not for ever: the kernel may hold on to it."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)


def _wait_until_ready(
    messages: socket.socket, process: subprocess.Popen[bytes], output: IO[str]
) -> None:
    """Wait until the system is up.

    Raises:
        AssertionError: it has ended, or is silent for too long.
    """
    with watching([process.pid]) as watch:
        while True:
            readable, _, _ = select.select([messages.fileno(), watch.fileno()], [], [], PATIENCE)
            if messages.fileno() not in readable:
                output.seek(0)
                raise AssertionError(f"the container did not boot: {output.read()}")
            if "READY=1" in messages.recv(4096).decode().splitlines():
                return


def _first_process(group: Path) -> int:
    """The id, out here, of the process that has 1 in its own process table."""
    for pid in Cgroup(group).members():
        with suppress(OSError):  # some come and go
            status = Path(f"/proc/{pid}/status").read_text()
            (ids,) = (line.split()[1:] for line in status.splitlines() if line[:5] == "NSpid")
            if len(ids) > 1 and ids[-1] == "1":
                return pid
    raise AssertionError("the container has no first process")


@contextmanager
def _control_group() -> Iterator[Path]:
    """A new control group of version 2, of which nothing is left afterwards.

    Raises:
        CannotBoot: there can be none.
    """
    root = next((each for each in _CONTROL_GROUPS if (each / "cgroup.procs").exists()), None)
    if root is None:
        raise CannotBoot("control groups of version 2 are not mounted")
    folder = root / f"clinvk-boot-{secrets.token_hex(4)}"  # also the container's name
    folder.mkdir()
    try:
        yield folder
    finally:
        Cgroup(folder).end()
