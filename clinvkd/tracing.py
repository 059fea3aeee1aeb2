"""Traces for OpenTelemetry: a span for every request, every turn and every call of an agent.

Configured by the standard environment variables alone, by those of the SDK and of its exporter.
Names and attributes are those of the semantic conventions for HTTP servers and for generative AI.
Nothing of OpenTelemetry is imported unless traces are asked for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import structlog

from . import __version__
from .errors import ClinvkError, ConfigError
from .observation import TurnEnd
from .prompt import Prompt

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

_SERVICE = "clinvk"
_PROVIDERS = {"claude": "anthropic", "codex": "openai", "gemini": "gcp.gemini"}
"""Well-known values of `gen_ai.provider.name` by backend; others stand for themselves."""

_log = structlog.get_logger(__name__)

_SECOND = 1_000_000_000  # in the nanoseconds of span times


class Answer(Protocol):
    """What a trace tells of an answer."""

    @property
    def status(self) -> int:
        """Of HTTP."""


class RunningTurn(Protocol):
    """What a trace tells of a turn."""

    @property
    def failure(self) -> ClinvkError | None:
        """What it failed with."""


_Answer = TypeVar("_Answer", bound=Answer)


def asked_for(environ: Mapping[str, str]) -> bool:
    """Whether the standard variables ask for traces: an exporter is named, or where to send."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "")
    if exporter:
        return exporter != "none"
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return any(environ.get(name) for name in endpoints)


def tracing_of(environ: Mapping[str, str]) -> Tracing | None:
    """Tracing as the environment asks for it, or None.

    Raises:
        ConfigError: the extra is not installed, or the exporter is another one than ``otlp`` (by
            HTTP) and ``console``.
    """
    if not asked_for(environ):
        return None
    try:
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise ConfigError("OTEL_*: traces need the extra clinvkd[otel]") from None
    _take_over_the_log()
    facts = {SERVICE_VERSION: __version__}
    if not environ.get("OTEL_SERVICE_NAME"):
        facts[SERVICE_NAME] = _SERVICE
    provider = TracerProvider(resource=Resource.create(facts), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_exporter(environ)))
    return Tracing(provider)


class _Forwarded(logging.Handler):
    """What OpenTelemetry logs, as lines of our own log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record."""
        _log.log(record.levelno, "opentelemetry", source=record.name, said=record.getMessage())


def _take_over_the_log() -> None:
    theirs = logging.getLogger("opentelemetry")
    theirs.propagate = False
    if not theirs.handlers:
        theirs.addHandler(_Forwarded(logging.WARNING))


def _exporter(environ: Mapping[str, str]) -> SpanExporter:
    match environ.get("OTEL_TRACES_EXPORTER") or "otlp":
        case "otlp":
            try:
                from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            except ImportError:
                raise ConfigError("OTEL_*: traces need the extra clinvkd[otel]") from None
            return OTLPSpanExporter()
        case "console":
            from opentelemetry.sdk.trace.export import ConsoleSpanExporter

            return ConsoleSpanExporter()
        case other:
            raise ConfigError(f"OTEL_TRACES_EXPORTER: is {other!r}, allowed is otlp, console, none")


class Tracing:
    """Makes the spans.

    Args:
        provider: where they go; closed with this.
    """

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("clinvkd", __version__)
        self._trace = trace
        self._context = TraceContextTextMapPropagator()

    async def request(
        self,
        method: str,
        route: str,
        headers: Mapping[str, str],
        handling: Awaitable[_Answer],
        tell: Callable[[str], None],
    ) -> _Answer:
        """Await `handling` in a span, the child of the one that W3C headers name.

        Args:
            route: the path with its parameters unresolved.
            tell: is given what W3C calls `traceresponse`: which span this is.
        """
        carrier = {name.lower(): value for name, value in headers.items()}
        with self._tracer.start_as_current_span(
            f"{method} {route}",
            context=self._context.extract(carrier),
            kind=self._trace.SpanKind.SERVER,
            attributes={"http.request.method": method, "http.route": route},
            record_exception=False,
        ) as span:
            now: dict[str, str] = {}
            self._context.inject(now)
            tell(now["traceparent"])
            answer = await handling
            span.set_attribute("http.response.status_code", answer.status)
            if answer.status >= 500:
                span.set_attribute("error.type", str(answer.status))
                span.set_status(self._trace.StatusCode.ERROR)
            return answer

    @contextmanager
    def turn(self, prompt: Prompt) -> Iterator[Callable[[RunningTurn], None]]:
        """A span for the turn that runs inside; gives what is to be told of the turn."""
        turns: list[RunningTurn] = []
        with self._tracer.start_as_current_span(
            f"invoke_agent {prompt.backend}",
            attributes={"gen_ai.operation.name": "invoke_agent", **_facts(prompt.backend, prompt)},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            error: ClinvkError | None = None
            try:
                yield turns.append
            except ClinvkError as caught:
                error = caught
                raise
            finally:
                # A stream tells its caller of a failure and raises nothing.
                error = error or (turns[0].failure if turns else None)
                if error is not None:
                    span.set_attribute("error.type", error.code)
                    span.set_status(self._trace.StatusCode.ERROR)

    def context(self) -> tuple[tuple[str, str], ...]:
        """The span that runs now, as W3C headers: names and values."""
        headers: dict[str, str] = {}
        self._context.inject(headers)
        return tuple(headers.items())

    def agent_call(self, end: TurnEnd) -> None:
        """A span for what an agent was asked, told when it has ended."""
        now = time.time_ns()
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": _PROVIDERS.get(end.backend, end.backend),
            "gen_ai.agent.name": end.backend,
            "gen_ai.usage.input_tokens": end.usage.input_tokens,
            "gen_ai.usage.output_tokens": end.usage.output_tokens,
            "clinvk.way": end.way or "none",
            "clinvk.outcome": end.outcome,
        }
        if end.model:
            attributes["gen_ai.response.model"] = end.model
        if end.first_text_seconds is not None:
            attributes["clinvk.time_to_first_text"] = end.first_text_seconds
        failed = end.outcome not in ("completed", "interrupted")
        if failed:
            attributes["error.type"] = end.outcome
        span = self._tracer.start_span(
            f"chat {end.model}" if end.model else "chat",
            kind=self._trace.SpanKind.CLIENT,
            attributes=attributes,
            start_time=now - round(end.seconds * _SECOND),
        )
        if failed:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(now)

    def close(self) -> None:
        """Send what is left. Blocking: `OTEL_EXPORTER_OTLP_TIMEOUT` seconds at most."""
        self._provider.shutdown()


def _facts(backend: str, prompt: Prompt) -> dict[str, str]:
    facts = {
        "gen_ai.provider.name": _PROVIDERS.get(backend, backend),
        "gen_ai.agent.name": backend,
    }
    if prompt.client:
        facts["clinvk.key"] = prompt.client
    if prompt.model:
        facts["gen_ai.request.model"] = prompt.model
    return facts
