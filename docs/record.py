#!/usr/bin/env python3
"""Records the terminal of the README: real commands before a real daemon, as an animated SVG.

    python docs/record.py            writes docs/images/terminal.svg

The daemon is one of its own, with an empty home and the local model. What the commands print is
drawn when they printed it; only the pauses between them are made up.
"""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen
from xml.sax.saxutils import escape

from rich.text import Text

TARGET = Path(__file__).parent / "images" / "terminal.svg"
CLINVK = Path(sys.executable).parent / "clinvk"
COMMANDS = (
    'clinvk prompt "Write one sentence about the sea."',
    'clinvk prompt --backend echo --json "Hello there."',
    "clinvk usage",
)
COLUMNS = 88
READING, TYPING = 1.6, 0.6
"""Seconds to read an answer in, and to see a command before it runs."""

_CELL, _LINE, _MARGIN, _HEAD = 8.4, 19, 16, 34
_TITLE = "A terminal: clinvk answers word by word, then as JSON, and tells what was used"
_STYLE = """\
  text { font: 14px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #d7e0dc; }
  text { white-space: pre; opacity: 0; animation: show 1ms forwards; }
  .prompt { fill: #4fd1a5; }
  .bold { font-weight: 700; }
  @keyframes show { to { opacity: 1; } }
  @media (prefers-reduced-motion: reduce) { text { animation: none; opacity: 1; } }"""


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that appeared at once: where, and how many seconds after the beginning."""

    line: int
    column: int
    text: str
    kind: str
    at: float


class Screen:
    """What was printed, line by line; nothing is ever moved or erased."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.lines = 1
        self._column = 0

    def print(self, text: str, at: float, kind: str = "") -> None:
        """Add text where the last one ended; too long a line goes on in the next one."""
        for part in re.split(r"(\n)", text.replace("\r", "")):
            while part and part != "\n":
                room = COLUMNS - self._column
                self.pieces.append(Piece(self.lines - 1, self._column, part[:room], kind, at))
                self._column += len(part[:room])
                part = part[room:]
                if part:
                    self._next_line()
            if part == "\n":
                self._next_line()

    def _next_line(self) -> None:
        self.lines += 1
        self._column = 0


def recorded(environment: Mapping[str, str]) -> Screen:
    """The commands, run one after the other."""
    screen = Screen()
    now = 0.4
    for command in COMMANDS:
        screen.print("$ ", now, "prompt")
        screen.print(f"{command}\n", now)
        begin = now = now + TYPING
        for at, output in _outputs(command, environment):
            now = begin + at
            for line in re.split(r"(?<=\n)", output):
                _print_styled(screen, line, now)
        now += READING
        screen.print("\n", now)
    return screen


def _print_styled(screen: Screen, line: str, at: float) -> None:
    styled = Text.from_ansi(line.rstrip("\r\n"))
    for span in styled.divide(sorted({edge for s in styled.spans for edge in (s.start, s.end)})):
        bold = any("bold" in str(each.style) for each in span.spans)
        screen.print(span.plain, at, "bold" if bold else "")
    if line.endswith("\n"):
        screen.print("\n", at)


def _outputs(command: str, environment: Mapping[str, str]) -> Iterator[tuple[float, str]]:
    """What a command prints on a terminal, with the seconds since its start."""
    begin = time.monotonic()
    child, terminal = pty.fork()
    if child == 0:
        os.execve("/bin/sh", ["sh", "-c", command], dict(environment))
    while True:
        try:
            output = os.read(terminal, 65536)
        except OSError:  # how Linux tells that the other end is closed
            output = b""
        if not output:
            break
        yield time.monotonic() - begin, output.decode()
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(f"{command} failed")


def drawn(screen: Screen) -> str:
    """The SVG."""
    width = round(COLUMNS * _CELL + 2 * _MARGIN)
    height = _HEAD + (max(piece.line for piece in screen.pieces) + 1) * _LINE + _MARGIN
    rows = []
    for piece in screen.pieces:
        if not piece.text.strip():
            continue
        x = _MARGIN + piece.column * _CELL
        y = _HEAD + (piece.line + 1) * _LINE - 5
        kind = f' class="{piece.kind}"' if piece.kind else ""
        rows.append(
            f'<text{kind} x="{x:.1f}" y="{y}" textLength="{len(piece.text) * _CELL:.1f}"'
            f' style="animation-delay:{piece.at:.2f}s">{escape(piece.text)}</text>'
        )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f"<title>{_TITLE}</title>",
            "<!-- Made by `python docs/record.py`; do not edit. -->",
            f"<style>\n{_STYLE}\n</style>",
            f'<rect width="{width}" height="{height}" rx="10" fill="#16211d"/>',
            *(f'<circle cx="{x}" cy="17" r="5" fill="#3b4d46"/>' for x in (20, 38, 56)),
            *rows,
            "</svg>\n",
        ]
    )


@contextmanager
def daemon(home: Path) -> Iterator[dict[str, str]]:
    """A daemon with an empty home and a warm local model; the environment of its commands."""
    environment = {
        "PATH": f"{CLINVK.parent}:/usr/bin:/bin",
        "HOME": str(home),
        "CLINVK_HOME": str(home / ".clinvk"),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "COLUMNS": str(COLUMNS),
    }
    command = [str(CLINVK), "serve", "--port", "0"]
    with (
        (home / "log").open("w") as log,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        try:
            assert process.stdout is not None
            url = process.stdout.readline().decode().split()[-1]
            _wait_until_warm(url)
            yield {**environment, "CLINVK_URL": url}
        finally:
            process.terminate()


def _wait_until_warm(url: str) -> None:
    while True:
        with urlopen(f"{url}/health") as answer:
            pools = {each["name"]: each["pool"] for each in json.load(answer)["backends"]}
        if pools["local"]["spares"]:
            return
        time.sleep(0.2)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, daemon(Path(folder)) as variables:
        TARGET.write_text(drawn(recorded(variables)), encoding="utf-8")
