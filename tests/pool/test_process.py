"""One subprocess: read line by line, and surely ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from clinvkd.errors import AgentExited
from clinvkd.events import Event
from clinvkd.pool import Spawner, State
from clinvkd.pool import process as process_module
from clinvkd.pool.process import DirectoryGoneError, Process
from clinvkd.workdir import open_directory

from ..pools import prompt, text_of
from .driver import Many
from .stage import LONG, PATIENCE, backend, beside, ended_child, everything, say, stage, told, until

PYTHON = (sys.executable, "-S", "-E", "-c")
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(flush=True)
time.sleep(600)
"""


class Ears:
    """Takes what a process says."""

    def __init__(self) -> None:
        self.reads: list[list[bytes]] = []
        self.exits: list[Process] = []

    @property
    def lines(self) -> list[bytes]:
        return [line for lines in self.reads for line in lines]

    async def spawn(self, program: str, folder: Path, spawner: Spawner | None = None) -> Process:
        return await (spawner or Spawner()).spawn(
            [*PYTHON, program],
            cwd=folder,
            environment={},
            on_lines=self.reads.append,
            on_exit=self.exits.append,
        )

    async def all_of(self, program: str, folder: Path) -> Process:
        process = await self.spawn(program, folder)
        async with asyncio.timeout(PATIENCE):
            await process.exited.wait()
        return process


async def test_all_lines_of_one_read_come_together(tmp_path: Path) -> None:
    ears = Ears()
    process = await ears.all_of("import os; os.write(1, b'a\\n\\nbb\\nrest')", tmp_path)
    assert ears.reads == [[b"a", b"", b"bb"]]
    assert (process.returncode, ears.exits) == (0, [process])


async def test_a_line_in_pieces_is_put_together(tmp_path: Path) -> None:
    ears = Ears()
    program = (
        "import os, time\nfor b in b'ab\\ncd\\nef':\n os.write(1, bytes([b])); time.sleep(0.005)"
    )
    await ears.all_of(program, tmp_path)
    assert ears.lines == [b"ab", b"cd"]


async def test_a_hundred_megabytes_of_lines_are_read(tmp_path: Path) -> None:
    total = 0

    def count(lines: list[bytes]) -> None:
        nonlocal total
        total += sum(map(len, lines)) + len(lines)

    process = await Spawner().spawn(
        [*PYTHON, "import os\nfor _ in range(100): os.write(1, (b'x' * 99 + b'\\n') * 10486)"],
        cwd=tmp_path,
        environment={},
        on_lines=count,
        on_exit=lambda process: None,
    )
    async with asyncio.timeout(PATIENCE):
        await process.exited.wait()
    assert total == 104_860_000


async def test_an_endless_line_ends_the_process_before_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "MAX_LINE", 10_000_000)
    async with stage(backend(), tmp_path) as pool:
        with pytest.raises(AgentExited, match="signal 9"):
            await say(pool, told(chunks=0, then="endless"))


async def test_the_last_lines_of_stderr_are_kept(tmp_path: Path) -> None:
    program = "import os\nfor n in range(1000): os.write(2, b'%d \\xff\\n' % n)"
    process = await Ears().all_of(program, tmp_path)
    lines = process.stderr_tail.splitlines()
    assert len(lines) == 20
    assert lines[-1] == "999 \N{REPLACEMENT CHARACTER}"


async def test_what_is_sent_to_an_ended_process_is_lost_without_a_word(tmp_path: Path) -> None:
    process = await Ears().all_of("pass", tmp_path)
    process.send({"to": "nobody"})
    process.pause_reading(True)
    process.signal_group(signal.SIGTERM)
    await process.stop(1, "nobody")
    unborn = Process(Spawner(), lambda lines: None, lambda process: None)
    unborn.send({"to": "nobody"})


async def test_reading_can_be_paused_and_resumed(tmp_path: Path) -> None:
    ears = Ears()
    process = await ears.spawn("import os\nwhile True: os.write(1, os.read(0, 65536))", tmp_path)
    for number, paused in enumerate((True, False)):
        process.pause_reading(paused)
        process.pause_reading(paused)
        process.send(number)
    await until(lambda: ears.lines == [b"0", b"1"])
    process.pause_reading(True)
    process.send(2)
    await process.stop(5, "nobody")  # ends although nobody reads its last word
    assert ears.lines == [b"0", b"1"]


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("import sys; sys.stdin.read()", 0),
        ("import signal, time; print(flush=True); time.sleep(600)", -signal.SIGTERM),
        (DEAF, -signal.SIGKILL),
    ],
    ids=["end of input", "SIGTERM", "SIGKILL"],
)
async def test_a_process_is_ended_as_gently_as_it_lets_itself(
    tmp_path: Path, program: str, status: int
) -> None:
    ears = Ears()
    spawner = Spawner()
    process = await ears.spawn(program, tmp_path, spawner)
    if status:
        await until(lambda: ears.lines)
    assert spawner.running == {process.pid}
    await process.stop(0.5 if status else PATIENCE, "nobody")
    assert (process.returncode, spawner.running, ears.exits) == (status, set(), [process])


async def test_a_stop_that_is_cancelled_kills_at_once(tmp_path: Path) -> None:
    ears = Ears()
    process = await ears.spawn(
        "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True)\n"
        "time.sleep(600)",
        tmp_path,
    )
    await until(lambda: ears.lines)
    async with beside(process.stop(600, "nobody")) as [stop]:
        await until(lambda: process._stopping)
        stop.cancel()
        async with asyncio.timeout(PATIENCE):
            await process.exited.wait()
    assert process.returncode == -signal.SIGKILL


async def test_a_process_that_closes_its_output_while_it_is_ended_may_finish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "_STDIN_GRACE", 0.05)
    ears = Ears()
    program = (
        "import os, signal, time; signal.signal(15, lambda *about: None); print(flush=True)\n"
        "os.read(0, 1); os.close(1); time.sleep(0.4); os._exit(9)"
    )
    process = await ears.spawn(program, tmp_path)
    await until(lambda: ears.lines)
    await process.stop(PATIENCE, "nobody")
    assert process.returncode == 9


async def test_nothing_is_inherited_but_the_three_standard_files(tmp_path: Path) -> None:
    ears = Ears()
    readable, writable = os.pipe()
    os.set_inheritable(writable, True)
    program = "import os; files = os.listdir('/proc/self/fd'); print(len(files) - 1, flush=True)"
    try:
        await ears.all_of(program, tmp_path)
    finally:
        os.close(readable)
        os.close(writable)
    assert ears.lines == [b"3"]


@pytest.fixture(params=["by number", "by a program"])
def entering(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How a child enters its directory: the second way is that of systems without ``/proc``."""
    monkeypatch.setattr(process_module, "_ENTERS_BY_PROC", request.param == "by number")


@pytest.mark.usefixtures("entering")
async def test_a_process_begins_in_the_directory_that_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody swaps the path at the worst moment: after it was opened, before it is entered."""
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()

    def open_and_swap(path: Path) -> int:
        descriptor = open_directory(path)
        project.rename(tmp_path / "moved")
        project.symlink_to(elsewhere)
        return descriptor

    monkeypatch.setattr(process_module, "open_directory", open_and_swap)
    ears = Ears()
    program = "import os; print(os.getcwd(), sorted(os.listdir('/dev/fd'))[:-1], flush=True)"
    process = await ears.all_of(program, project)
    assert process.returncode == 0
    assert ears.lines == [f"{tmp_path}/moved ['0', '1', '2']".encode()]


async def test_a_directory_that_became_a_link_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(DirectoryGoneError, match="cannot be entered"):
        await Ears().spawn("pass", tmp_path / "link")


async def test_what_cannot_be_started_raises(tmp_path: Path) -> None:
    spawner = Spawner()
    for argv, cwd, error in (
        (["/nonexistent/program"], tmp_path, OSError),
        ([*PYTHON, "pass"], tmp_path / "nowhere", OSError),
        ([*PYTHON, "a\0b"], tmp_path, ValueError),
    ):
        with pytest.raises(error):
            await spawner.spawn(
                argv,
                cwd=cwd,
                environment={},
                on_lines=lambda lines: None,
                on_exit=lambda process: None,
            )
    assert spawner.running == set()


async def test_orphans_are_not_collected_while_a_process_is_being_started(tmp_path: Path) -> None:
    spawner = Spawner()
    child = ended_child()
    async with spawner._one:
        spawner.reap()
        assert psutil.pid_exists(child)
    spawner.reap()
    assert not psutil.pid_exists(child)


def pids_in(text: str) -> list[int]:
    pids: list[int] = json.loads(text)
    assert len(pids) == 5
    return pids


@pytest.mark.parametrize("flags", [(), ("--deaf",)], ids=["hearing", "deaf"])
async def test_an_ended_agent_takes_all_it_started_along(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    async with stage(backend(*flags, stop_grace_secs=0.3), tmp_path) as pool:
        pids = pids_in(await say(pool, told(chunks=0, then="leave")))
        assert all(map(psutil.pid_exists, pids))
        [agent] = pool.crew
        pool.crew.let_go(agent)
        await until(lambda: agent.state is State.STOPPED)
        await until(lambda: not any(map(psutil.pid_exists, pids)))


async def test_a_crashed_agent_takes_all_it_started_along(tmp_path: Path) -> None:
    """Some hold its output open, which must not keep its caller waiting."""
    async with stage(backend(), tmp_path, Many) as pool:
        events: list[Event] = []
        instruction = told(chunks=0, then="leave", last="crash")
        async with pool.turn(prompt(instruction), LONG) as turn:
            with pytest.raises(AgentExited):
                await everything(turn, events)
        pids = pids_in(text_of(events))
        await until(lambda: not any(map(psutil.pid_exists, pids)))
