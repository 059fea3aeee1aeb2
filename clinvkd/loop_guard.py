"""Ends the loops of clients that ask for tool calls and get nowhere.

Two shapes are known. A client sends the same request again because the answer held no call, as
fast as it is answered: opencode does so for ever when a stream ends without a reason it knows
(anomalyco/opencode#49414: 86 to 138 requests in 10 s). Or the model calls the same tool with the
same arguments and gets the same result, round after round; agents themselves call that stuck
after 3 to 5 rounds.

Only requests with tools are looked at, and equal ones that are answered at the same time count as
one: callers that sample an answer many times over do so at once.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from pydantic_core import to_json

from .config import ServerSettings
from .errors import LoopDetected
from .prompt import Block, Message, Prompt, ToolResult, ToolUse

Loop: TypeAlias = Literal["repeated_request", "repeated_call"]
"""How a client got nowhere."""

MOST_REQUESTS: Final = 4096
"""Requests that are remembered; those unused for the longest time are forgotten first."""

WORDS: Final = 4
"""How many answers in words, where no call was demanded, weigh as much as one of nothing: words
may be just what was wanted."""


@dataclass(slots=True)
class _Asked:
    """One request, as often as it came.

    Attributes:
        running: how many of it are being answered.
        vain: when it was answered in vain, and what that counted, since it last was not. Answers
            to several at once count as one.
    """

    running: int = 0
    vain: deque[tuple[float, float]] = field(default_factory=deque)


class _Watch:
    """A request that was let in; `answered` tells what it got, `over` that it has ended."""

    def __init__(self, asked: _Asked | None, prompt: Prompt, clock: Callable[[], float]) -> None:
        self._asked = asked
        self._prompt = prompt
        self._clock = clock

    def answered(self, reply: Message) -> None:
        """Note an answer before the caller sees its end: it may ask again at once."""
        if (asked := self._asked) is None:
            return
        if not (weight := _weight(self._prompt, reply)):
            asked.vain.clear()
        elif asked.running == 1:
            asked.vain.append((self._clock(), weight))
        self.over()

    def over(self) -> None:
        """The request has ended; one that failed says nothing about the client."""
        if self._asked is not None:
            self._asked.running -= 1
            self._asked = None


class LoopGuard:
    """What all clients of the daemon asked for lately.

    Args:
        clock: seconds that only grow.

    Attributes:
        refused: how many requests were refused, by the shape of the loop.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.refused: Counter[Loop] = Counter({"repeated_request": 0, "repeated_call": 0})
        self._clock = clock
        self._asked: OrderedDict[int, _Asked] = OrderedDict()

    @contextmanager
    def turn(self, prompt: Prompt, limits: ServerSettings) -> Iterator[Callable[[Message], None]]:
        """One turn, for as long as it runs.

        Yields:
            What to call with the answer, before the caller sees its end.

        Raises:
            LoopDetected: its client gets nowhere.
        """
        watch = self._watch(prompt, limits)
        try:
            yield watch.answered
        finally:
            watch.over()

    def _watch(self, prompt: Prompt, limits: ServerSettings) -> _Watch:
        if not prompt.tools or prompt.tool_choice.mode == "none":
            return _Watch(None, prompt, self._clock)
        if limits.loop_guard_rounds:
            rounds = equal_rounds(prompt.messages)
            if rounds >= limits.loop_guard_rounds:
                raise self._refusal(
                    "repeated_call",
                    f"the same tools were called with the same arguments {rounds} times in a row,"
                    " and the results were the same each time (server.loop_guard_rounds)",
                )
        asked = self._recall(prompt) if limits.loop_guard_repeats else None
        if asked is not None:
            if not asked.running:
                self._refuse_repeats(asked, limits)
            asked.running += 1
        return _Watch(asked, prompt, self._clock)

    def _recall(self, prompt: Prompt) -> _Asked:
        key = _key(prompt)
        asked = self._asked.setdefault(key, _Asked())
        self._asked.move_to_end(key)
        if len(self._asked) > MOST_REQUESTS:
            self._asked.popitem(last=False)
        return asked

    def _refuse_repeats(self, asked: _Asked, limits: ServerSettings) -> None:
        window = limits.loop_guard_window_secs
        while asked.vain and asked.vain[0][0] < self._clock() - window:
            asked.vain.popleft()
        if sum(weight for _, weight in asked.vain) >= limits.loop_guard_repeats:
            raise self._refusal(
                "repeated_request",
                f"the same request was answered {len(asked.vain)} times within {window:g} s, and"
                " no answer brought a call (server.loop_guard_repeats)",
            )

    def _refusal(self, loop: Loop, what: str) -> LoopDetected:
        self.refused[loop] += 1
        return LoopDetected(f"this looks like a loop that gets nowhere: {what}; change the request")


def equal_rounds(messages: Sequence[Message]) -> int:
    """How many rounds of calls and results at the end are the same; 0 when it ends otherwise.

    What the model says beside its calls and the ids of calls do not count. A message with more
    than results in it is a word of the caller's and no part of a loop.
    """
    rounds, latest = 0, None
    for index in range(len(messages) - 1, 0, -2):
        now = _round(messages[index - 1], messages[index])
        if now is None or latest not in (None, now):
            break
        rounds, latest = rounds + 1, now
    return rounds


def _round(called: Message, answered: Message) -> object:
    """Calls and results in a form that compares equal for equal ones; None for all else."""
    results = {b.tool_use_id: b for b in answered.content if isinstance(b, ToolResult)}
    uses = [block for block in called.content if isinstance(block, ToolUse)]
    if not uses or len(results) != len(answered.content):
        return None
    return [
        (use.name, use.input, given.content, given.is_error)
        if (given := results.get(use.id))
        else (use.name, use.input)
        for use in uses
    ]


def _weight(prompt: Prompt, reply: Message) -> float:
    if any(isinstance(block, ToolUse) for block in reply.content):
        return 0
    demanded = prompt.tool_choice.mode in ("required", "named")
    return 1 if demanded or not reply.text.strip() else 1 / WORDS


def _key(prompt: Prompt) -> int:
    """The same for the same request of the same client.

    Python's own hash: 64 bits do here, and for 2,000 messages it takes 1 ms where a digest of
    their JSON takes 14.
    """
    return hash(
        (
            prompt.client,
            prompt.backend,
            prompt.model,
            prompt.system,
            prompt.workdir,
            prompt.sampling,
            prompt.max_tokens,
            prompt.tool_choice,
            *((tool.name, tool.description) for tool in prompt.tools),
            *((said.role, *map(_hashable, said.content)) for said in prompt.messages),
        )
    )


def _hashable(block: Block) -> object:
    match block:
        case ToolUse(identity, name, arguments):
            return identity, name, to_json(arguments)
        case _:
            return block
