"""Every metric in one table: what it is called, what it counts, and by which labels.

Values of labels come from the configuration (backends, keys), from the table of routes, or from
closed sets of words, never from what a caller writes: so nobody can make series without end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric.

    Attributes:
        name: as it is exposed, with its unit; a histogram adds `_bucket`, `_sum` and `_count`.
        help: what it says, in one sentence.
        labels: by what it is told apart, in this order.
        buckets: upper bounds of a histogram, in its unit.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def _doubling(first: float, count: int) -> tuple[float, ...]:
    return tuple(first * 2**power for power in range(count))


_REQUEST_SECONDS = _doubling(0.001, 15)
_TURN_SECONDS = _doubling(0.1, 12)
_FIRST_TEXT_SECONDS = _doubling(0.025, 13)
_LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

# Requests.

REQUESTS: Final = Definition(
    "clinvk_requests_total",
    "counter",
    "HTTP requests that were answered, by route and status; 499: the caller left.",
    ("method", "path", "status"),
)
REQUEST_SECONDS: Final = Definition(
    "clinvk_request_duration_seconds",
    "histogram",
    "Seconds from the head of a request to the end of its answer, streams included.",
    ("method", "path"),
    _REQUEST_SECONDS,
)
REQUESTS_IN_PROGRESS: Final = Definition(
    "clinvk_requests_in_progress",
    "gauge",
    "HTTP requests that are being answered.",
    ("method", "path"),
)
LIMIT_REFUSALS: Final = Definition(
    "clinvk_rate_limit_refusals_total",
    "counter",
    "Requests refused with 429, by limit: requests, turns (at once), tokens (per day).",
    ("limit",),
)
LOOP_GUARD_REFUSALS: Final = Definition(
    "clinvk_loop_guard_refusals_total",
    "counter",
    "Requests refused because their client repeats itself and gets nowhere.",
    ("loop",),
)

# Turns.

TURNS: Final = Definition(
    "clinvk_turns_total",
    "counter",
    "Turns by how they found their conversation (continue, seed, start; none: they found none) and"
    " how they ended: completed, interrupted, or the code of the error.",
    ("backend", "way", "outcome"),
)
EXECUTIONS: Final = Definition(
    "clinvk_backend_executions_total",
    "counter",
    "Turns by whether they completed: success or error.",
    ("backend", "status"),
)
EXECUTION_SECONDS: Final = Definition(
    "clinvk_backend_execution_duration_seconds",
    "histogram",
    "Seconds of a turn, waiting for an agent included.",
    ("backend",),
    _TURN_SECONDS,
)
FIRST_TEXT_SECONDS: Final = Definition(
    "clinvk_time_to_first_text_seconds",
    "histogram",
    "Seconds until the first text of a turn, waiting for an agent included.",
    ("backend", "way"),
    _FIRST_TEXT_SECONDS,
)
INPUT_TOKENS: Final = Definition(
    "clinvk_input_tokens_total",
    "counter",
    "Input tokens of completed turns, cached ones included; key: name of the API key.",
    ("backend", "key"),
)
CACHED_TOKENS: Final = Definition(
    "clinvk_cached_input_tokens_total",
    "counter",
    "The part of the input tokens that was read from the provider's cache.",
    ("backend", "key"),
)
OUTPUT_TOKENS: Final = Definition(
    "clinvk_output_tokens_total",
    "counter",
    "Output tokens of completed turns, reasoning included.",
    ("backend", "key"),
)
COST: Final = Definition(
    "clinvk_cost_dollars_total",
    "counter",
    "US dollars that turns cost; source: told by the agent, or estimate from a table of prices.",
    ("backend", "key", "source"),
)

# Pools.

AVAILABLE: Final = Definition(
    "clinvk_backend_available", "gauge", "1 if the backend can be used, else 0.", ("backend",)
)
AGENTS: Final = Definition(
    "clinvk_agents", "gauge", "Agent processes, those that start included.", ("backend",)
)
STARTING: Final = Definition(
    "clinvk_agents_starting", "gauge", "Agent processes that are not ready yet.", ("backend",)
)
SPARES: Final = Definition(
    "clinvk_spare_agents", "gauge", "Agents that are ready and hold no conversation.", ("backend",)
)
RUNNING: Final = Definition(
    "clinvk_turns_in_progress", "gauge", "Turns that agents are at work on.", ("backend",)
)
PARKED: Final = Definition(
    "clinvk_parked_conversations",
    "gauge",
    "Idle conversations that can be continued.",
    ("backend",),
)
QUEUED: Final = Definition(
    "clinvk_queued_turns", "gauge", "Turns that wait for an agent.", ("backend",)
)
RESTARTS: Final = Definition(
    "clinvk_agent_restarts_total",
    "counter",
    "Agents that ended without being asked to, or were ended for doing harm.",
    ("backend",),
)
AGENT_CPU: Final = Definition(
    "clinvk_agent_cpu_seconds_total",
    "counter",
    "Processor time of agents and what they started; what one used after the last look before its"
    " end is missing.",
    ("backend",),
)
AGENT_MEMORY: Final = Definition(
    "clinvk_agent_memory_bytes",
    "gauge",
    "Resident memory of agents and what they started.",
    ("backend",),
)

# The daemon.

SESSIONS: Final = Definition("clinvk_active_sessions", "gauge", "Sessions in the store.")
SESSIONS_CREATED: Final = Definition(
    "clinvk_sessions_created_total", "counter", "Sessions that were begun."
)
STORE_AVAILABLE: Final = Definition(
    "clinvk_store_available", "gauge", "1 if the database works, else 0."
)
LAG: Final = Definition(
    "clinvk_event_loop_lag_seconds",
    "histogram",
    "Seconds by which a timer of the event loop, set twice a second, came too late.",
    (),
    _LAG_SECONDS,
)
BUILD: Final = Definition(
    "clinvk_build_info", "gauge", "Always 1; its label is the version.", ("version",)
)

DEFINITIONS: Final = (
    REQUESTS,
    REQUEST_SECONDS,
    REQUESTS_IN_PROGRESS,
    LIMIT_REFUSALS,
    LOOP_GUARD_REFUSALS,
    TURNS,
    EXECUTIONS,
    EXECUTION_SECONDS,
    FIRST_TEXT_SECONDS,
    INPUT_TOKENS,
    CACHED_TOKENS,
    OUTPUT_TOKENS,
    COST,
    AVAILABLE,
    AGENTS,
    STARTING,
    SPARES,
    RUNNING,
    PARKED,
    QUEUED,
    RESTARTS,
    AGENT_CPU,
    AGENT_MEMORY,
    SESSIONS,
    SESSIONS_CREATED,
    STORE_AVAILABLE,
    LAG,
    BUILD,
)
"""All of them. Those of the process itself are added by the Prometheus client."""
