"""The log file that begins anew: all that goes to standard output or error is in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WRITER = """
import os, sys
from pathlib import Path
from clinvkd.service.log_file import LogFile
file = LogFile(Path(sys.argv[1]), largest=100)
assert not file.rotate()
for number in range(int(sys.argv[2])):
    print("out", number, "." * 50, flush=True)
    os.system(f"echo err {number} {'.' * 50} >&2")
    assert file.rotate()
print("last", flush=True)
"""


def written(path: Path, turns: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(path), str(turns)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), path.read_text()


def test_a_full_file_is_numbered_and_five_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "clinvk.log"
    written(path, 7)
    assert path.read_text() == "last\n"
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "clinvk.log", *(f"clinvk.log.{number}" for number in range(1, 6))
    ]  # fmt: skip
    newest, oldest = (tmp_path / f"clinvk.log.{number}" for number in (1, 5))
    assert newest.read_text().startswith("out 6 ")
    assert "err 6 " in newest.read_text()
    assert oldest.read_text().startswith("out 2 ")
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_there_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "clinvk.log"
    path.write_text("before\n")
    written(path, 0)
    assert path.read_text() == "before\nlast\n"


def test_a_daemon_writes_there_and_nowhere_else(tmp_path: Path) -> None:
    path = tmp_path / "clinvk.log"
    done = subprocess.run(
        [sys.executable, "-m", "clinvkd", "serve", "--log-file", str(path), "--port", "-1"],
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (78, b"", b"")
    assert "server.port: is -1" in path.read_text()
