"""Prompts one after the other, each of which may use what those before it answered."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..engine import Engine
from ..errors import InvalidRequest
from ..prompt import Message, Prompt, Text
from .lanes import Lane, Outcome, Tell, Workflow

_PLACEHOLDER = re.compile(r"\{\{\s*(?P<name>[^{}]*?)\s*\}\}")
_OUTPUT = re.compile(r"steps\.(?P<step>.+)\.output")


@dataclass(frozen=True, slots=True)
class Step:
    """What a chain knows of a step before it runs: its name, or empty, and the text of its prompt
    with placeholders."""

    name: str
    text: str


class Placeholders:
    """``{{previous}}``, ``{{input}}`` and ``{{steps.NAME.output}}`` in the prompts of a chain.

    What is put in is never searched for placeholders again.

    Args:
        steps: all steps.
        given: what stands for ``{{input}}``, or None.
    """

    def __init__(self, steps: Sequence[Step], given: str | None) -> None:
        self._steps = steps
        self._given = given

    def check(self) -> None:
        """See that every placeholder will have a value when its step runs.

        Raises:
            InvalidRequest: naming the step's field and the placeholder.
        """
        places: dict[str, int] = {}
        for index, step in enumerate(self._steps):
            if step.name and places.setdefault(step.name, index) != index:
                raise InvalidRequest(
                    f"steps[{index}].name {step.name[:80]!r} is the name of another step, too",
                    param=f"steps[{index}].name",
                )
        for index, step in enumerate(self._steps):
            for name in _names(step.text):
                if (fault := self._fault(name, index, places)) is not None:
                    where = f"steps[{index}].prompt"
                    raise InvalidRequest(f"{where}: {{{{{name[:80]}}}}} {fault}", param=where)

    def fill(self, prompt: Prompt, outputs: Mapping[str, str]) -> Prompt:
        """The prompt with values in the place of placeholders.

        Args:
            outputs: by the name of a placeholder, see `values`.
        """

        def value(match: re.Match[str]) -> str:
            return outputs[match["name"]]

        *history, last = prompt.messages
        content = tuple(
            Text(_PLACEHOLDER.sub(value, block.text)) if isinstance(block, Text) else block
            for block in last.content
        )
        return replace(prompt, messages=(*history, Message("user", content)))

    def values(self, outputs: Sequence[str]) -> dict[str, str]:
        """What placeholders stand for after the first steps gave these outputs."""
        values = {} if self._given is None else {"input": self._given}
        if outputs:
            values["previous"] = outputs[-1]
        for step, output in zip(self._steps, outputs, strict=False):
            if step.name:
                values[f"steps.{step.name}.output"] = output
        return values

    def _fault(self, name: str, index: int, places: Mapping[str, int]) -> str | None:
        if name == "previous":
            return "stands for the step before, and this is the first" if index == 0 else None
        if name == "input":
            return "needs the field `input`" if self._given is None else None
        if name == "session":
            return "cannot be used: steps of a chain are not kept as sessions"
        match = _OUTPUT.fullmatch(name)
        if match is None:
            return "is not known; there are {{previous}}, {{input}} and {{steps.NAME.output}}"
        place = places.get(match["step"])
        if place is None:
            known = ", ".join(map(repr, places)) or "none has a name"
            return f"names a step that does not exist (names: {known[:300]})"
        if place >= index:
            return "names a step that has not run by then"
        return None


class Chain(Workflow):
    """Lanes that run one after the other.

    Args:
        placeholders: checked.
        done: outputs of the first steps, which are not run again; their lanes stay untouched.
        stop_on_failure: a failure ends the chain; the lanes after it stay untouched.
    """

    def __init__(
        self,
        engine: Engine,
        lanes: list[Lane],
        placeholders: Placeholders,
        *,
        done: Sequence[str] = (),
        stop_on_failure: bool = False,
    ) -> None:
        super().__init__(engine, lanes)
        self._placeholders = placeholders
        self._done = done
        self._stop_on_failure = stop_on_failure

    async def play(self, tell: Tell) -> None:
        """Run the steps; the output of a failed one is what it had said until then."""
        outputs = list(self._done)
        for lane in self.lanes[len(outputs) :]:
            lane.prompt = self._placeholders.fill(lane.prompt, self._placeholders.values(outputs))
            await lane.run(self._engine, tell)
            if lane.outcome is Outcome.FAILED and self._stop_on_failure:
                return
            outputs.append(lane.reply.text)


def _names(text: str) -> Iterator[str]:
    return (match["name"] for match in _PLACEHOLDER.finditer(text))
