"""A client of the live feed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientResponse
from pydantic import TypeAdapter

from clinvkd.api.native.live_models import (
    LiveRequest,
    LiveSnapshot,
    LiveTurnEnded,
    LiveTurnStarted,
    LiveTurnText,
)

from .service import PATIENCE, Service

LIVE = "/api/v1/live"
KINDS: Mapping[str, TypeAdapter[Any]] = {
    "snapshot": TypeAdapter(LiveSnapshot),
    "turn.started": TypeAdapter(LiveTurnStarted),
    "turn.text": TypeAdapter(LiveTurnText),
    "turn.ended": TypeAdapter(LiveTurnEnded),
    "request": TypeAdapter(LiveRequest),
}


@dataclass(frozen=True, slots=True)
class Told:
    """One event."""

    name: str
    data: Any


@dataclass(slots=True)
class Watching:
    """An open stream of the feed, and what came so far."""

    response: ClientResponse
    told: list[Told] = field(default_factory=list)

    async def next(self) -> Told | None:
        """The next event; None at the end."""
        name, data = None, None
        async with asyncio.timeout(PATIENCE):
            while line := (await self.response.content.readline()).decode():
                match line.rstrip("\n").partition(": "):
                    case ("event", _, given):
                        name = given
                    case ("data", _, given):
                        data = json.loads(given)
                    case ("", _, _) if name is not None:
                        check(name, data)
                        self.told.append(Told(name, data))
                        return self.told[-1]
        return None

    async def until(self, name: str, wanted: Callable[[Any], bool] = lambda _: True) -> Any:
        """Read on to an event like this one; what it holds."""
        while (told := await self.next()) is not None:
            if told.name == name and wanted(told.data):
                return told.data
        raise AssertionError(f"the stream ended without {name!r}: {self.told}")

    async def rest(self) -> list[Told]:
        """All events, to the end of the stream."""
        while await self.next() is not None:
            pass
        return self.told

    def names(self) -> list[str]:
        """What came, snapshots apart."""
        return [told.name for told in self.told if told.name != "snapshot"]

    def text(self, turn: str) -> str:
        """The text that came of a turn."""
        texts = [told.data for told in self.told if told.name == "turn.text"]
        return "".join(data["text"] for data in texts if data["id"] == turn)


def check(name: str, data: Any) -> None:
    """Whether an event holds what is published, and nothing else."""
    kind = KINDS[name]
    schema = kind.json_schema()
    assert set(schema["required"]) <= set(data) <= set(schema["properties"])
    kind.validate_python(data, strict=True)


@asynccontextmanager
async def watching(
    service: Service, headers: Mapping[str, str] | None = None, **query: str
) -> AsyncIterator[Watching]:
    """Watch; the first snapshot has come."""
    async with service.client.get(LIVE, headers=headers, params=query) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        feed = Watching(response)
        first = await feed.next()
        assert first is not None
        assert first.name == "snapshot"
        yield feed
