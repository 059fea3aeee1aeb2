"""The driver of the misbehaving agents: a protocol as small as one can be."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Literal

from clinvkd.config import Backend
from clinvkd.drivers.base import (
    RECEIVE,
    Abilities,
    Driver,
    Exchange,
    Json,
    Launch,
    Script,
    Send,
    WriteFile,
)
from clinvkd.errors import BackendError
from clinvkd.events import Completed, Progress, TextDelta
from clinvkd.prompt import Message, Prompt

PROGRAM = Path(__file__).parent.parent / "agents_misbehaving" / "__main__.py"
COMMAND = (sys.executable, "-S", "-E", str(PROGRAM))


class LineScript(Script):
    def __init__(self, name: str, scratch: Path) -> None:
        self.name = name
        self.note = scratch / "notes" / "deep" / f"{name}.txt"
        self.surprises: list[Json] = []
        self._interrupted = False
        self._top_k: int | None = None

    def bind(self, prompt: Prompt) -> Exchange[None]:
        self._top_k = prompt.sampling.top_k
        yield WriteFile(self.note, (prompt.system or "").encode())

    def seed(self, history: tuple[Message, ...]) -> Exchange[None]:
        yield self.send("seed", history=[message.text for message in history])

    def serves(self, prompt: Prompt) -> bool:
        return prompt.sampling.top_k == self._top_k

    def turn(self, prompt: Prompt) -> Exchange[None]:
        if self._interrupted:
            yield Completed("interrupted")
            return
        yield self.send("turn", text=prompt.new[-1].text)
        yield Progress("asked")
        while True:
            match (yield RECEIVE):
                case {"delta": str(text)}:
                    yield TextDelta(text)
                case {"delta": other}:
                    raise TypeError(f"no text: {other}")
                case {"error": str(text)}:
                    raise BackendError(text)
                case {"spoiled": True}:
                    self.reusable = False
                case {"end": how}:
                    yield Completed("interrupted" if how == "interrupted" else "end_turn")
                    return

    def interrupt(self) -> Iterable[Send]:
        self._interrupted = True  # it may come before the turn was sent
        self.reusable = False
        return (self.send("interrupt"),)

    def close(self) -> Iterable[Send]:
        return (self.send("forget"),)

    def unsolicited(self, message: Json) -> Iterable[Send]:
        self.surprises.append(message)
        return (Send({"do": "nothing"}),)

    def send(self, do: Literal["seed", "turn", "interrupt", "forget"], **more: object) -> Send:
        return Send({"do": do, "conversation": self.name, **more})


class One(Driver):
    """One conversation per process, as claude has it."""

    abilities: ClassVar[Abilities] = Abilities(conversations=1, agents=4)
    _numbers = itertools.count(1)

    def __init__(self, backend: Backend, scratch: Path) -> None:
        super().__init__(backend, scratch)
        self.scripts: dict[str, LineScript] = {}
        self.strays: list[Json] = []

    @classmethod
    def launch(cls, backend: Backend, prompt: Prompt) -> Launch:
        return Launch(
            argv=(*backend.command, *backend.extra_flags),
            environment=(("PLACE", "{scratch}/place"),),
            cwd=prompt.workdir,
            files=(("settings.json", '{"place": "{scratch}"}'),),
        )

    def start(self) -> Exchange[None]:
        yield Send({"do": "hello"})
        while True:
            match (yield RECEIVE):
                case {"ready": True, "version": str(version)}:
                    self.version = version
                    return

    def open(self) -> Script:
        name = f"c{next(self._numbers)}"
        self.scripts[name] = LineScript(name, self.scratch)
        return self.scripts[name]

    def route(self, message: Json) -> Script | None:
        if "conversation" in message:
            return self.scripts.get(message["conversation"], _NOBODY)
        return None

    def unrouted(self, message: Json) -> Iterable[Send]:
        self.strays.append(message)
        return (Send({"do": "nothing"}),)

    def rehearse(self, message: Json) -> Json | None:
        return None


class Many(One):
    """Many conversations per process, as codex and ACP agents have it."""

    abilities: ClassVar[Abilities] = Abilities(conversations=256, agents=2)


class Two(One):
    """Two conversations per process."""

    abilities: ClassVar[Abilities] = Abilities(conversations=2, agents=1)


_NOBODY = LineScript("nobody", Path("/nonexistent"))
