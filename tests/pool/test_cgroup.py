"""Control groups, in a part of the real tree that is made and delegated for the test."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from clinvkd.pool import Spawner, cgroup
from clinvkd.pool.cgroup import Cgroup, Cgroups, Limits
from clinvkd.pool.process import Process

from ..daemon import Daemon, ask, environment
from .stage import PATIENCE, until

PYTHON = (sys.executable, "-S", "-E", "-c")
DETACHED = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.environ.clear()
        os.execve(sys.executable, [sys.executable, "-S", "-E", "-c", sys.argv[1]], {})
    os._exit(0)
os.wait()
print("left", flush=True)
sys.stdin.read()
"""
"""Leaves a process in a session of its own, orphaned, without the mark, and deaf to SIGTERM."""

SLEEPER = "import time; time.sleep(3600)"
ENTER = 'echo 0 >"$1/cgroup.procs" && shift && exec "$@"'

_numbers = itertools.count()


@pytest.fixture
def part() -> Iterator[Path]:
    """An empty group of this machine's tree that is ours, as systemd would give us one."""
    try:
        folder = cgroup._own_group() / f"clinvk-test-{os.getpid()}-{next(_numbers)}"
        folder.mkdir()
    except (OSError, LookupError) as error:
        pytest.skip(f"NOT TESTED with control groups: this machine lets us make none ({error})")
    try:
        os.setxattr(folder, "user.delegate", b"1")
        yield folder
    finally:
        Cgroup(folder).end()
        assert not folder.exists()


def claimed_in(folder: Path, *, alone: bool = True) -> str:
    """What a process that starts in `folder` sees when it claims its group."""
    program = (
        "from clinvkd.pool import cgroup\n"
        "found = cgroup.claim()\n"
        "print(found and found._root, open('/proc/self/cgroup').read().split('0::')[1], sep='|')"
    )
    command = [sys.executable, "-c", program]
    if not alone:
        command = ["/bin/sh", "-c", '"$@"; exit $?', "sh", *command]
    done = subprocess.run(
        ["/bin/sh", "-c", ENTER, "sh", folder, *command],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return next(line for line in done.stdout.splitlines() if "|" in line)


def test_a_delegated_group_is_claimed_and_the_daemon_moves_into_a_group_of_its_own(
    part: Path,
) -> None:
    left = Cgroups(part).create(Limits())
    root, own = claimed_in(part).split("|")
    assert root == str(part)
    assert own.endswith(f"/{part.name}/daemon")
    assert not left.folder.exists()  # it was an earlier daemon's


def test_a_group_that_is_shared_or_not_delegated_is_left_alone(part: Path) -> None:
    assert claimed_in(part, alone=False).startswith("None|")
    os.removexattr(part, "user.delegate")
    assert claimed_in(part).startswith("None|")
    assert not (part / "daemon").exists()


@pytest.mark.parametrize(("unit", "claimed"), [("clinvk.service", True), ("tmux.service", False)])
def test_the_group_of_our_unit_in_a_users_manager_is_claimed_without_a_mark(
    part: Path, unit: str, claimed: bool
) -> None:
    group = part / "user@1000.service" / unit
    group.mkdir(parents=True)
    assert claimed_in(group).startswith(f"{group}|" if claimed else "None|")


def test_limits_are_set_where_the_controllers_are(tmp_path: Path) -> None:
    """A plain folder stands for the tree: not every machine has the controllers."""
    groups = Cgroups(tmp_path)
    bare = groups.create(Limits(memory=7 * 2**20, tasks=9))
    assert {file.name: file.read_text() for file in bare.folder.iterdir()} == {
        "memory.max": str(7 * 2**20),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "pids.max": "9",
    }
    assert list(groups.create(Limits()).folder.iterdir()) == []


async def spawned(groups: Cgroups, folder: Path, *argv: str) -> tuple[Process, list[bytes]]:
    lines: list[bytes] = []
    process = await Spawner(groups).spawn(
        argv, cwd=folder, environment={}, on_lines=lines.extend, on_exit=lambda process: None
    )
    return process, lines


@pytest.mark.parametrize("kernel", ["new", "before cgroup.kill"])
async def test_what_an_agent_leaves_behind_ends_with_its_group(
    part: Path, tmp_path: Path, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernel != "new":
        write_text = Path.write_text

        def without_kill(path: Path, text: str) -> int:
            if path.name == "cgroup.kill":
                raise FileNotFoundError(path)
            return write_text(path, text)

        monkeypatch.setattr(Path, "write_text", without_kill)
    process, lines = await spawned(Cgroups(part), tmp_path, *PYTHON, DETACHED, SLEEPER)
    await until(lambda: lines == [b"left"])
    (group,) = agents_in(part)
    (orphan,) = set(Cgroup(group).members()) - {process.pid}
    deaf = psutil.Process(orphan)
    assert (os.getsid(orphan), deaf.ppid()) != (process.pid, process.pid)
    await process.stop(PATIENCE, "no mark")
    assert process.returncode == 0
    assert not deaf.is_running() or deaf.status() == psutil.STATUS_ZOMBIE
    assert not group.exists()


async def test_groups_made_inside_go_with_it(part: Path, tmp_path: Path) -> None:
    program = (
        "import os, sys; inner = sys.argv[1] + '/inner'; os.mkdir(inner)\n"
        "open(inner + '/cgroup.procs', 'w').write('0'); print('in', flush=True); sys.stdin.read()"
    )
    process, lines = await spawned(Cgroups(part), tmp_path, *PYTHON, program, str(part / "agent-1"))
    await until(lambda: lines == [b"in"])
    await process.stop(PATIENCE, "no mark")
    assert not agents_in(part)


async def test_a_program_that_cannot_be_started_leaves_no_group(part: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        await spawned(Cgroups(part), tmp_path / "nowhere", *PYTHON, "pass")
    with pytest.raises(ValueError, match="null byte"):
        await spawned(Cgroups(part), tmp_path, *PYTHON, "a\0b")
    assert not agents_in(part)


async def test_the_daemon_puts_each_agent_into_a_group(part: Path, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", ENTER, "sh", str(part)),
        *(sys.executable, "-m", "clinvkd", "serve", "--port", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(tmp_path, tmp_path / "tmp"),
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            banner = (await process.stdout.readline()).decode().rstrip()
        running = Daemon(process, [banner], tmp_path, tmp_path / "tmp")
        status, _ = await ask(running, "hello")
        assert status == 200
        agents = running.children()
        groups = {cgroup_of(agent.pid) for agent in agents}
        assert len(groups) == len(agents) > 0
        assert all(group.startswith(f"{part.name}/agent-") for group in groups)
        assert cgroup_of(process.pid) == f"{part.name}/daemon"
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        async with asyncio.timeout(PATIENCE):
            await process.wait()
    assert not agents_in(part)


def agents_in(part: Path) -> list[Path]:
    """The groups of agents."""
    return list(part.glob("agent-*"))


def cgroup_of(pid: int) -> str:
    """The last two names of the path of its group."""
    path = Path(f"/proc/{pid}/cgroup").read_text().rpartition("0::")[2].strip()
    return "/".join(path.rsplit("/", 2)[-2:])
