"""An agent that does what it is told, however bad. Standard library only, so it starts fast.

It reads and writes JSON lines. Clients say ``hello``, ``seed``, ``turn``, ``interrupt`` and
``forget``; it answers with ``ready``, with ``delta``s and with one ``end`` per turn. A turn whose
text is a JSON object is an instruction (see `Turn`); any other text is given back as it came.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

_FOREVER = 3600.0
_SLEEP = [sys.executable, "-S", "-E", "-c", f"import time; time.sleep({_FOREVER})"]
_DAEMON = """
import os, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
print(os.getpid(), file=open(sys.argv[1], "w"), flush=True)
time.sleep(3600)
"""
_NEST = """
import subprocess, sys, time
inner = subprocess.Popen(sys.argv[2:], start_new_session=True)
print(inner.pid, file=open(sys.argv[1], "w"), flush=True)
time.sleep(3600)
"""


def _written(path: Path) -> int:
    while not path.is_file() or not path.read_text().endswith("\n"):
        time.sleep(0.01)
    return int(path.read_text())


class Agent:
    """The program's state: what it was told, and what it remembers of each conversation."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.contexts: dict[str, list[str]] = {}
        self.interrupted: dict[str, threading.Event] = {}
        self.ballast: list[bytes] = []
        self._writing = threading.Lock()

    def write(self, data: bytes) -> None:
        with self._writing:
            view = memoryview(data)
            while view:
                view = view[os.write(1, view) :]

    def say(self, **message: Any) -> None:
        self.write(json.dumps(message).encode() + b"\n")

    def ready(self) -> None:
        if self.options.never_ready:
            return
        time.sleep(self.options.ready_after)
        self.say(ready=True, version="1.2.3")
        if self.options.exit_when_ready:
            os._exit(4)

    def serve(self) -> None:
        for line in sys.stdin.buffer:
            match json.loads(line):
                case {"do": "hello"}:
                    if not self.options.print_first:
                        self.ready()
                case {"do": "seed", "conversation": name, "history": history}:
                    self.contexts.setdefault(name, []).extend(history)
                case {"do": "turn", "conversation": name, "text": text}:
                    self.interrupted[name] = threading.Event()
                    context = self.contexts.setdefault(name, [])
                    turn = Turn(self, name, text, context)
                    threading.Thread(target=turn.run, daemon=True).start()
                case {"do": "interrupt", "conversation": name}:
                    if name in self.interrupted and not self.options.ignore_interrupts:
                        self.interrupted[name].set()
                case {"do": "forget", "conversation": name}:
                    self.contexts.pop(name, None)
                case {"do": "count"}:
                    self.say(unasked=len(self.contexts))


class Turn:
    """One instruction: ``{"text", "chunks", "delay", "then", ...}``.

    It says `text` in `chunks` deltas, `delay` seconds apart, and then does `then`.
    """

    def __init__(self, agent: Agent, name: str, text: str, context: list[str]) -> None:
        self.agent = agent
        self.name = name
        self.context = context
        self.text = text
        self.told: dict[str, Any] = json.loads(text) if text.startswith("{") else {"text": text}

    def delta(self, text: str) -> None:
        self.agent.say(conversation=self.name, delta=text)

    def run(self) -> None:
        for number in range(self.told.get("chunks", 1)):
            if self.agent.interrupted[self.name].wait(self.told.get("delay", 0)):
                self.agent.say(conversation=self.name, end="interrupted")
                return
            self.delta(self.told.get("text", "").replace("#", str(number)))
        getattr(self, self.told.get("then", "end"))()

    def end(self, text: str = "") -> None:
        if text:
            self.delta(text)
        self.context += [self.text, "an answer"]
        self.agent.say(conversation=self.name, end="done")

    def recall(self) -> None:
        self.end(json.dumps(self.context))

    def fail(self) -> None:
        self.agent.say(conversation=self.name, error="it was told to fail")

    def spoil(self) -> None:
        self.agent.say(conversation=self.name, spoiled=True)
        self.end()

    def odd(self) -> None:
        self.agent.say(conversation=self.name, delta={"not": "text"})

    def hang(self) -> None:
        self.agent.interrupted[self.name].wait(_FOREVER)
        self.agent.say(conversation=self.name, end="interrupted")

    def crash(self) -> None:
        print("first line\nit went wrong", file=sys.stderr, flush=True)
        os._exit(3)

    def half(self) -> None:
        self.agent.write(b'{"conversation": "' + self.name.encode() + b'", "del')
        time.sleep(_FOREVER)

    def garbage(self) -> None:
        for line in (b"not json", b"\xff\xfe\x00\x80", b'{"delta": "\xff"}', b"", b"[1]", b"7"):
            self.agent.write(line + b"\n")
        self.agent.write(b'{"conversation": {"un": "hashable"}, "delta": "x"}\n')
        self.agent.write(b'{"conversation": "nobody", "delta": "lost"}\n{"unasked": 1}\n')
        self.end("after the garbage")

    def long(self) -> None:
        self.end("x" * self.told["size"])

    def flood(self) -> None:
        line = json.dumps({"conversation": self.name, "delta": "x" * self.told["size"]})
        for _ in range(self.told["count"]):
            self.agent.write(line.encode() + b"\n")
        self.end("the end")

    def endless(self) -> None:
        while True:
            self.agent.write(b"x" * 65536)

    def memory(self) -> None:
        self.agent.ballast.append(b"x" * (self.told["mebibytes"] << 20))
        getattr(self, self.told.get("last", "end"))()

    def mute(self) -> None:
        os.close(1)
        time.sleep(_FOREVER)

    def leave(self) -> None:
        """Leave processes behind and tell their ids, then go on as `last` says."""
        note = Path(os.environ["TMPDIR"]) / "note"
        same_group = subprocess.Popen(_SLEEP).pid
        own_session = subprocess.Popen(_SLEEP, start_new_session=True).pid
        python = _SLEEP[:3]
        subprocess.run([*python, "-c", _DAEMON, f"{note}-1"], check=True)
        command = [*python, "-c", _NEST, f"{note}-2", *_SLEEP]
        nested = subprocess.Popen(command, start_new_session=True).pid
        pids = [same_group, own_session, _written(Path(f"{note}-1")), nested]
        self.delta(json.dumps([*pids, _written(Path(f"{note}-2"))]))
        getattr(self, self.told.get("last", "end"))()

    def surroundings(self) -> None:
        self.end(
            json.dumps(
                {
                    "environment": dict(os.environ),
                    "cwd": str(Path.cwd()),
                    "files": _open_files(),
                    "argv": sys.argv[1:],
                    "leads": [os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid()],
                }
            )
        )


def _open_files() -> list[int]:
    return [int(entry.name) for entry in Path("/proc/self/fd").iterdir() if entry.exists()]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--deaf", action="store_true", help="no end of input or SIGTERM stops it")
    parser.add_argument("--ignore-interrupts", action="store_true")
    parser.add_argument("--never-ready", action="store_true")
    parser.add_argument("--ready-after", type=float, default=0)
    parser.add_argument("--exit-when-ready", action="store_true")
    parser.add_argument("--print-first", action="store_true", help="get ready without a hello")
    parser.add_argument("--crash-while", type=Path, help="crash at the start while this exists")
    agent = Agent(options := parser.parse_args())
    if options.deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.crash_while is not None and options.crash_while.exists():
        print("no such account", file=sys.stderr)
        sys.exit(7)
    if options.print_first:
        agent.ready()
    agent.serve()
    if options.deaf:
        time.sleep(_FOREVER)


if __name__ == "__main__":
    main()
