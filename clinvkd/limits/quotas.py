"""What a client may use beside requests: turns at once, and tokens per day."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Literal, TypeAlias

from ..errors import RateLimited
from ..events import Usage
from ..keys import Caller, Scopes

_DAY = 86_400
_EPOCH = date(1970, 1, 1).toordinal()

Limit: TypeAlias = Literal["requests", "turns", "tokens"]
"""What a client may use only so much of: requests per time, turns at once, tokens per day."""


class Quotas:
    """Counts turns and tokens by client, and refuses turns beyond a client's scopes.

    Tokens are counted when a turn ends, so the last turn of a day may go over the limit.

    Args:
        clock: gives the seconds since the epoch.

    Attributes:
        refused: how many requests were refused so far, by what their clients had used up.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.refused: Counter[Limit] = Counter({"requests": 0, "turns": 0, "tokens": 0})
        self._clock = clock
        self._scopes: dict[str, Scopes] = {}
        self._running: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()
        self._day = 0

    def note(self, caller: Caller) -> None:
        """Learn what a client may use; the turns of its request are held to that."""
        self._scopes[caller.name] = caller.scopes

    @contextmanager
    def turn(self, client: str) -> Iterator[None]:
        """One turn of a client, for as long as it runs.

        Raises:
            RateLimited: the client has used up what it may use.
        """
        self._check(client)
        self._running[client] += 1
        try:
            yield
        finally:
            self._running[client] -= 1
            if not self._running[client]:
                del self._running[client]

    def spend(self, client: str, usage: Usage) -> None:
        """A client has used so much."""
        self._turn_the_page()
        self._tokens[client] += usage.input_tokens + usage.output_tokens

    def tokens_today(self, client: str) -> int:
        """Input and output tokens of all turns of a client that ended today (UTC)."""
        self._turn_the_page()
        return self._tokens[client]

    def recall(self, day: date, tokens: Mapping[str, int]) -> None:
        """Learn how many tokens clients used on `day` (UTC) before this process began to count."""
        self._turn_the_page()
        if day.toordinal() - _EPOCH == self._day:
            self._tokens.update(tokens)

    def _check(self, client: str) -> None:
        scopes = self._scopes.get(client)
        if scopes is None:
            return
        turns = scopes.concurrent_turns
        if turns is not None and self._running[client] >= turns:
            self.refused["turns"] += 1
            raise RateLimited(f"this key may run {turns} turns at once, and does", retry_after=1)
        tokens = scopes.tokens_per_day
        if tokens is not None and self.tokens_today(client) >= tokens:
            self.refused["tokens"] += 1
            raise RateLimited(
                f"this key may use {tokens} tokens per day (UTC), and has",
                retry_after=math.ceil(_DAY - self._clock() % _DAY),
            )

    def _turn_the_page(self) -> None:
        day = int(self._clock() // _DAY)
        if day != self._day:
            self._day = day
            self._tokens.clear()
