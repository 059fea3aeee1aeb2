"""What agents leave behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from clinvkd.pool import descendants

from .stage import PATIENCE, ended_child, until

PYTHON = (sys.executable, "-S", "-E", "-c")
FAMILY = """
import subprocess, sys, time
deeper = int(sys.argv[1])
if deeper:
    command = [sys.executable, "-S", "-E", "-c", sys.argv[2], str(deeper - 1), sys.argv[2]]
    subprocess.Popen(command, start_new_session=True)
else:
    print("here", flush=True)
time.sleep(3600)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs a child subreaper")


@pytest.fixture
def family() -> Iterator[subprocess.Popen[bytes]]:
    """A process with a child, a grandchild and so on, each in a session of its own."""
    environment = {descendants.MARKER: "the-agent"}
    process = subprocess.Popen(
        [*PYTHON, FAMILY, "3", FAMILY], env=environment, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"
    yield process
    process.stdout.close()
    process.kill()
    process.wait(PATIENCE)
    descendants.end((), "the-agent")
    descendants.reap(())


def test_the_tree_holds_all_generations(family: subprocess.Popen[bytes]) -> None:
    assert len(descendants.tree(family.pid)) == 3
    assert descendants.memory(family.pid) > psutil.Process(family.pid).memory_info().rss


def test_what_all_generations_use_is_one_sum(family: subprocess.Popen[bytes]) -> None:
    alone = psutil.Process(family.pid).memory_info().rss
    (cpu, memory), gone = descendants.used([family.pid, 2**22 + 1])
    assert cpu > 0
    assert memory > alone * 2
    assert gone == (0, 0)


def test_an_ended_process_has_no_tree_and_no_memory(family: subprocess.Popen[bytes]) -> None:
    gone = subprocess.Popen(["/bin/true"])
    gone.wait(PATIENCE)
    assert (descendants.tree(gone.pid), descendants.memory(gone.pid)) == ([], 0)


async def test_orphans_are_known_by_their_mark(family: subprocess.Popen[bytes]) -> None:
    assert [child.pid for child in descendants.adopted("the-agent")] == [family.pid]
    assert descendants.adopted("another") == []
    [child, *_] = descendants.tree(family.pid)
    family.kill()
    family.wait(PATIENCE)
    await until(lambda: descendants.adopted("the-agent") == [child])


def test_orphans_are_ended_with_the_children_they_have(family: subprocess.Popen[bytes]) -> None:
    members = descendants.tree(family.pid)
    family.kill()
    family.wait(PATIENCE)
    descendants.end((), "the-agent")
    assert not any(member.is_running() for member in members)


async def test_only_what_runs_is_killed(family: subprocess.Popen[bytes]) -> None:
    members = descendants.tree(family.pid)
    assert descendants.kill(members) == 3
    await until(lambda: descendants.kill(members) == 0)


def test_ended_children_are_collected_but_not_those_others_wait_for() -> None:
    pids = [ended_child() for _ in range(2)]
    descendants.reap([pids[0]])
    assert [psutil.pid_exists(pid) for pid in pids] == [True, False]
    descendants.reap([])
    assert not psutil.pid_exists(pids[0])


def test_only_linux_gives_orphans_to_us(monkeypatch: pytest.MonkeyPatch) -> None:
    assert descendants.become_subreaper()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not descendants.become_subreaper()
