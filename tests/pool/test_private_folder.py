"""What killed daemons leave of their private folders."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clinvkd.pool import PrivateFolder, clear_abandoned

HOLDS = """
from clinvkd.pool import PrivateFolder
folder = PrivateFolder()
(folder.path / "echo-1" / "deep").mkdir(parents=True)
print(folder.path, flush=True)
input()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@contextmanager
def program(source: str, cwd: Path | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A program that runs, and the first line it said."""
    with subprocess.Popen(
        [sys.executable, "-c", source],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=cwd,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def killed(temporary: Path) -> Path:
    """The folder of a run that was killed."""
    with program(HOLDS) as (process, folder):
        assert clear_abandoned(temporary) == 0
        process.send_signal(signal.SIGKILL)
    return Path(folder)


def test_a_folder_is_removed_with_all_that_is_in_it(temporary: Path) -> None:
    folder = PrivateFolder()
    assert folder.path.parent == temporary
    assert folder.path.stat().st_mode & 0o777 == 0o700
    (folder.path / "agent").mkdir()
    assert clear_abandoned(temporary) == 0  # it is in use
    folder.remove()
    assert list(temporary.iterdir()) == []


def test_the_folder_of_a_killed_run_is_removed_by_the_next(temporary: Path) -> None:
    folder = killed(temporary)
    assert (folder / "echo-1" / "deep").is_dir()
    assert clear_abandoned(temporary) == 1
    assert list(temporary.iterdir()) == []


def test_a_folder_in_which_a_process_works_stays(temporary: Path) -> None:
    folder = killed(temporary)
    with program("print(flush=True); input()", cwd=folder / "echo-1"):
        assert clear_abandoned(temporary) == 0
    assert clear_abandoned(temporary) == 1


def test_what_is_not_surely_ours_stays(temporary: Path) -> None:
    without_lock, open_to_all = temporary / "clinvk-abc", killed(temporary)
    without_lock.mkdir(mode=0o700)
    open_to_all.chmod(0o755)
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (elsewhere / ".lock").touch(mode=0o600)
    (temporary / "clinvk-link").symlink_to(elsewhere)
    linked = temporary / "clinvk-linked-lock"
    linked.mkdir(mode=0o700)
    (linked / ".lock").symlink_to(elsewhere / ".lock")
    (temporary / "clinvk-file").touch(mode=0o600)
    before = sorted(temporary.rglob("*"))
    assert clear_abandoned(temporary) == 0
    assert sorted(temporary.rglob("*")) == before
