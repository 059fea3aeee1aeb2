"""What the live feed and the request inspector answer with.

The OpenAPI document is made of these, and the tests compare them with real answers.
"""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypeAlias

from pydantic import Field, with_config
from typing_extensions import TypedDict

from .event_types import ErrorContent, TokenCounts
from .models import Body
from .session_models import Query


class LiveQuery(Query):
    """What is wanted of the live feed."""

    once: bool = False
    """Only what there is now; then the stream ends."""


class RequestsQuery(Query):
    """Which requests are wanted."""

    limit: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Most entries."""


class LivePool(TypedDict):
    """Agents and conversations of a backend."""

    agents: int
    starting: int
    spares: int
    busy: int
    parked: int
    queued: int
    restarts: int
    turns: dict[str, int]


@with_config(use_attribute_docstrings=True)
class LiveBackend(TypedDict):
    """A backend, and what is wrong with it."""

    name: str
    type: str
    """The protocol it is spoken to by."""
    embedded: bool
    available: bool
    reason: str | None
    """Why it is not available."""
    version: str | None
    """Of its agent."""
    model: str | None
    """The configured one."""
    warnings: list[str]
    """What this version of its agent cannot do."""
    pool: LivePool


@with_config(use_attribute_docstrings=True)
class LiveAgent(TypedDict):
    """A process of an agent."""

    id: str
    backend: str
    pid: int | None
    state: Literal["starting", "spare", "idle", "parked", "busy", "stopping"]
    age_seconds: float
    memory_bytes: int | None
    """What it and all below it held when somebody last looked, in whole mebibytes."""
    turns: int
    """Turns it has served or serves."""
    conversations: int
    """How many it holds."""
    turn_ids: list[str]
    """The turns that run in it, as far as you may see them."""


class LiveQueue(TypedDict):
    """Turns that wait for an agent, of all backends together."""

    waiting: int
    limit: int


class LiveLimits(TypedDict):
    """Most agents of a backend, how many are to be kept ready, and how many turns may wait."""

    agents: int
    spares: int
    queue: int


class LiveSnapshot(TypedDict):
    """`snapshot`: everything there is; first, and when something has changed."""

    time: str
    version: str
    uptime_seconds: float
    backends: list[LiveBackend]
    agents: list[LiveAgent]
    queue: LiveQueue
    limits: dict[str, LiveLimits]
    requests_in_progress: int


@with_config(use_attribute_docstrings=True)
class LiveTurnStarted(TypedDict):
    """`turn.started`: a turn has found its conversation."""

    id: str
    backend: str
    model: str | None
    dialect: Literal["native", "openai", "anthropic"]
    key: str
    """Name of the API key; empty without one."""
    session_id: NotRequired[str]
    way: NotRequired[Literal["continue", "seed", "start"]]
    """How it found its conversation; missing when it found none and so has failed."""
    prompt: str
    """The first characters of what was asked."""
    started_at: str


@with_config(use_attribute_docstrings=True)
class LiveTurnText(TypedDict):
    """`turn.text`: what a turn has said since the last one."""

    id: str
    text: str
    dropped: NotRequired[int]
    """Characters before it that are left out."""


class LiveTurnError(TypedDict):
    """Why a turn has failed."""

    code: str
    message: str


class LiveTurnEnded(TypedDict):
    """`turn.ended`: a turn has ended, well or badly, or its caller has left."""

    id: str
    outcome: Literal["completed", "failed", "canceled"]
    model: str | None
    usage: TokenCounts
    cost_usd: NotRequired[float]
    duration_seconds: float
    error: NotRequired[LiveTurnError]


@with_config(use_attribute_docstrings=True)
class LiveRequest(TypedDict):
    """`request`: an HTTP request was answered."""

    id: str
    """Names it in `/api/v1/requests/{id}`."""
    request_id: str
    """As the log has it."""
    time: str
    """When it began."""
    method: str
    path: str
    route: str
    """The path as it is declared; ``unknown`` for one that is not there."""
    status: int
    """499: the caller left before it was answered."""
    duration_ms: float
    dialect: str
    key: NotRequired[str]
    """Name of the API key, empty without one; missing when the request was refused."""


LiveEventData: TypeAlias = (
    LiveSnapshot | LiveTurnStarted | LiveTurnText | LiveTurnEnded | LiveRequest | ErrorContent
)


class RequestAnswer(Body):
    """A request that was answered. Secrets in it are replaced by `[redacted]`."""

    id: str
    request_id: str
    """As the log has it."""
    time: str
    """When it began."""
    method: str
    path: str
    """With its query."""
    route: str
    """The path as it is declared; ``unknown`` for one that is not there."""
    status: int
    """499: the caller left before it was answered."""
    duration_ms: float
    dialect: str
    key: str | None = None
    """Name of the API key, empty without one; missing when the request was refused."""
    request_headers: dict[str, str]
    request_body: str | None = None
    """As text, no more than its beginning; missing when there was none, or none is kept."""
    truncated: bool
    """Whether the body was longer."""
    response_headers: dict[str, str]


class RequestsAnswer(Body):
    """The last requests, the newest first."""

    data: list[RequestAnswer]
