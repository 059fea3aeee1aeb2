"""Counts what happens and writes it down for Prometheus. Import it only where metrics are on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Literal, TypeVar

from prometheus_async.aio import time, track_inprogress
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from ..limits import Limit
from ..loop_guard import Loop
from ..observation import TurnEnd
from . import definitions as names
from .definitions import Definition
from .snapshot import BackendState, Snapshot

_Result = TypeVar("_Result")
Values = Mapping[tuple[str, ...], float]
"""What a metric is, by the values of its labels."""


class Metrics:
    """All metrics of one daemon, in a registry of their own.

    Attributes:
        lag: is to be told how late the event loop is, in seconds.
    """

    def __init__(self) -> None:
        # A second series for each, that nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        self._requests = _counter(names.REQUESTS, registry)
        self._request_seconds = _histogram(names.REQUEST_SECONDS, registry)
        self._requests_in_progress = _gauge(names.REQUESTS_IN_PROGRESS, registry)
        self._turns = _counter(names.TURNS, registry)
        self._executions = _counter(names.EXECUTIONS, registry)
        self._execution_seconds = _histogram(names.EXECUTION_SECONDS, registry)
        self._first_text_seconds = _histogram(names.FIRST_TEXT_SECONDS, registry)
        self._input_tokens = _counter(names.INPUT_TOKENS, registry)
        self._cached_tokens = _counter(names.CACHED_TOKENS, registry)
        self._output_tokens = _counter(names.OUTPUT_TOKENS, registry)
        self._cost = _counter(names.COST, registry)
        self.lag = _histogram(names.LAG, registry)
        self._looked_up = _LookedUp()
        registry.register(self._looked_up)
        ProcessCollector(namespace="clinvk", registry=registry)

    def timed(self, method: str, path: str, handling: Awaitable[_Result]) -> Awaitable[_Result]:
        """`handling`, counted as long as it lasts and timed."""
        in_progress = self._requests_in_progress.labels(method, path)
        seconds = self._request_seconds.labels(method, path)
        return time(seconds, track_inprogress(in_progress, handling))

    def count_request(self, method: str, path: str, status: int) -> None:
        """A request was answered.

        Args:
            path: of its route, never the one the caller wrote.
        """
        self._requests.labels(method, path, status).inc()

    def count_turn(self, end: TurnEnd) -> None:
        """A turn has ended."""
        backend, way = end.backend, end.way or "none"
        self._turns.labels(backend, way, end.outcome).inc()
        self._executions.labels(backend, "success" if end.completed else "error").inc()
        self._execution_seconds.labels(backend).observe(end.seconds)
        if end.first_text_seconds is not None:
            self._first_text_seconds.labels(backend, way).observe(end.first_text_seconds)
        if end.completed:
            usage = end.usage
            self._input_tokens.labels(backend, end.client).inc(usage.input_tokens)
            self._cached_tokens.labels(backend, end.client).inc(usage.cached_tokens)
            self._output_tokens.labels(backend, end.client).inc(usage.output_tokens)

    def count_cost(
        self, backend: str, client: str, dollars: float, source: Literal["agent", "estimate"]
    ) -> None:
        """What a turn cost is known."""
        self._cost.labels(backend, client, source).inc(dollars)

    def exposition(self, accept: str, snapshot: Snapshot) -> tuple[bytes, str]:
        """All metrics as text, and its content type.

        Args:
            accept: the `Accept` header of who asks: Prometheus' own format or OpenMetrics.
            snapshot: what is looked up and not counted.
        """
        self._looked_up.snapshot = snapshot
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _LookedUp(Collector):
    """Metrics that are made of a snapshot: what is gone from it has no series left."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None

    def collect(self) -> Iterable[Metric]:
        """The metrics as of the snapshot; none before the first, as when they are registered."""
        if (snapshot := self.snapshot) is None:
            return
        yield from _of_backends(snapshot.backends)
        yield _family(names.LIMIT_REFUSALS, _by_word(snapshot.limit_refusals))
        yield _family(names.LOOP_GUARD_REFUSALS, _by_word(snapshot.loop_refusals))
        if snapshot.sessions is not None:
            yield _family(names.SESSIONS, {(): snapshot.sessions})
        yield _family(names.SESSIONS_CREATED, {(): snapshot.sessions_created})
        yield _family(names.STORE_AVAILABLE, {(): snapshot.store_available})
        yield _family(names.BUILD, {(snapshot.version,): 1})


def _of_backends(backends: Mapping[str, BackendState]) -> Iterator[Metric]:
    columns: tuple[tuple[Definition, Callable[[BackendState], float]], ...] = (
        (names.AVAILABLE, lambda state: state.available),
        (names.AGENTS, lambda state: state.figures.agents),
        (names.STARTING, lambda state: state.figures.starting),
        (names.SPARES, lambda state: state.figures.spares),
        (names.RUNNING, lambda state: state.figures.busy),
        (names.PARKED, lambda state: state.figures.parked),
        (names.QUEUED, lambda state: state.figures.queued),
        (names.RESTARTS, lambda state: state.figures.restarts),
        (names.AGENT_CPU, lambda state: state.use.cpu_seconds),
        (names.AGENT_MEMORY, lambda state: state.use.memory_bytes),
    )
    for definition, value in columns:
        yield _family(definition, {(name,): value(state) for name, state in backends.items()})


def _by_word(numbers: Mapping[Limit, int] | Mapping[Loop, int]) -> Values:
    return {(word,): number for word, number in numbers.items()}


def _family(definition: Definition, values: Values) -> Metric:
    make = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
    family = make(definition.name, definition.help, labels=definition.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _counter(definition: Definition, registry: CollectorRegistry) -> Counter:
    return Counter(definition.name, definition.help, definition.labels, registry=registry)


def _gauge(definition: Definition, registry: CollectorRegistry) -> Gauge:
    return Gauge(definition.name, definition.help, definition.labels, registry=registry)


def _histogram(definition: Definition, registry: CollectorRegistry) -> Histogram:
    return Histogram(
        definition.name,
        definition.help,
        definition.labels,
        registry=registry,
        buckets=definition.buckets,
    )
