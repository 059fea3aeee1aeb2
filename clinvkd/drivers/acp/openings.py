"""The queue of sessions being opened: some agents must not be asked for several at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from ..base import Json, Send
from ..jsonrpc import Peer

if TYPE_CHECKING:
    from .script import AcpScript

Owner: TypeAlias = "AcpScript | None"


@dataclass(frozen=True, slots=True)
class Opening:
    """A request for a session: ``session/new`` or ``session/load``."""

    method: str
    params: Json


class Openings:
    """Requests for sessions, waiting and under way; the owner None stands for the driver.

    Whoever gets the answer to one tells `answered` and sends what that yields: a request sent
    for another conversation goes over the same pipe.

    Args:
        peer: numbers the requests.
        most: how many may be under way at once.
    """

    def __init__(self, peer: Peer[Owner], most: int) -> None:
        self._peer = peer
        self._most = most
        self._waiting: deque[tuple[Owner, Opening]] = deque()
        self._under_way: dict[int, tuple[Owner, Opening]] = {}

    def __contains__(self, number: object) -> bool:
        return number in self._under_way

    def __bool__(self) -> bool:
        return bool(self._under_way)

    def owner(self, number: int) -> Owner:
        """Whose request `number` is now."""
        return self._under_way[number][0]

    def request(self, owner: Owner, opening: Opening) -> Iterable[Send]:
        """Send it now, take over an equal one that the driver has under way, or let it wait."""
        if owner is not None:
            for number, (whose, same) in self._under_way.items():
                if whose is None and same == opening:
                    self._under_way[number] = (owner, opening)
                    owner.opening_number = number
                    return
        self._waiting.append((owner, opening))
        yield from self._next()

    def answered(self, number: int) -> tuple[Opening, list[Send]]:
        """Request `number` was answered: what it was, and what may be sent now."""
        _, opening = self._under_way.pop(number)
        return opening, list(self._next())

    def release(self, owner: AcpScript) -> None:
        """`owner` is over: its waiting request is dropped, one under way becomes the driver's."""
        self._waiting = deque(entry for entry in self._waiting if entry[0] is not owner)
        for number, (whose, opening) in self._under_way.items():
            if whose is owner:
                self._under_way[number] = (None, opening)

    def _next(self) -> Iterable[Send]:
        while self._waiting and len(self._under_way) < self._most:
            owner, opening = self._waiting.popleft()
            number, send = self._peer.request(owner, opening.method, opening.params)
            self._under_way[number] = (owner, opening)
            if owner is not None:
                owner.opening_number = number
            yield send
