"""Traces, as a collector of OpenTelemetry gets them from the real daemon."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from clinvkd.errors import ConfigError
from clinvkd.tracing import asked_for, tracing_of

from .daemon import Daemon, daemon

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ECHO = "default_backend: echo\n"


@dataclass(frozen=True, slots=True)
class Collector:
    """What was sent by OTLP over HTTP."""

    url: str
    resources: list[dict[str, str]] = field(default_factory=list)
    spans: list[dict[str, Any]] = field(default_factory=list)

    def named(self, name: str) -> dict[str, Any]:
        """The one span of that name."""
        (span,) = [span for span in self.spans if span["name"] == name]
        return span


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async def receive(request: web.Request) -> web.Response:
        sent = ExportTraceServiceRequest.FromString(await request.read())
        for resource in sent.resource_spans:
            facts = {each.key: _value(each) for each in resource.resource.attributes}
            found.resources.append(facts)
            for scope in resource.scope_spans:
                found.spans.extend(map(_span, scope.spans))
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", receive)
    async with TestServer(app) as server:
        found = Collector(str(server.make_url("/")))
        yield found


def _span(span: Any) -> dict[str, Any]:
    return {
        "name": span.name,
        "trace": span.trace_id.hex(),
        "id": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "kind": span.kind,
        "seconds": (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        "error": span.status.code == Status.STATUS_CODE_ERROR,
        **{each.key: _value(each) for each in span.attributes},
    }


def _value(attribute: Any) -> Any:
    return getattr(attribute.value, attribute.value.WhichOneof("value"))


async def ask(
    running: Daemon, prompt: str, accept: str = "application/json", model: str = "m", **headers: str
) -> tuple[int, str]:
    """Send a prompt; the status and which span it was."""
    url, body = f"{running.url}/api/v1/prompt", {"prompt": prompt, "model": model}
    async with (
        ClientSession(headers={"Accept": accept, **headers}) as client,
        client.post(url, json=body) as response,
    ):
        await response.read()
        return response.status, response.headers["traceresponse"]


async def ended(running: Daemon) -> None:
    """Stop the daemon: what is left is sent."""
    running.signal(signal.SIGTERM)
    assert await running.ended() == 0


async def test_a_request_its_turn_and_its_agent_are_spans_of_the_callers_trace(
    tmp_path: Path, collector: Collector
) -> None:
    async with daemon(tmp_path, ECHO, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as running:
        status, told = await ask(running, "one two", traceparent=f"00-{TRACE}-{PARENT}-01")
        assert status == 200
        await ended(running)
    request = collector.named("POST /api/v1/prompt")
    turn = collector.named("invoke_agent echo")
    call = next(span for span in collector.spans if span["name"].startswith("chat"))
    assert {span["trace"] for span in (request, turn, call)} == {TRACE}
    assert (request["parent"], turn["parent"], call["parent"]) == (
        PARENT, request["id"], turn["id"],
    )  # fmt: skip
    assert told == f"00-{TRACE}-{request['id']}-01"
    assert request["seconds"] >= turn["seconds"] >= call["seconds"] > 0
    assert (request["kind"], call["kind"]) == (
        Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT,
    )  # fmt: skip
    assert request["http.route"] == "/api/v1/prompt"
    assert request["http.response.status_code"] == 200
    assert turn["gen_ai.operation.name"] == "invoke_agent"
    assert turn["gen_ai.request.model"] == "m"
    assert call["gen_ai.agent.name"] == call["gen_ai.provider.name"] == "echo"
    assert call["gen_ai.usage.input_tokens"] >= 2
    assert call["clinvk.outcome"] == "completed"
    assert not any(span["error"] for span in collector.spans)
    assert collector.resources[0]["service.name"] == "clinvk"
    assert "one two" not in str(collector.spans)


async def test_an_acp_agent_is_told_the_span_of_its_turn(
    tmp_path: Path, collector: Collector
) -> None:
    sent = tmp_path / "sent"
    echo = f"{shlex.quote(sys.executable)} -m clinvkd.agents.echo"
    line = f"{shutil.which('tee')} {shlex.quote(str(sent))} | {echo}"
    backend = {"driver": "acp", "command": [shutil.which("sh"), "-c", line]}
    config = json.dumps({"default_backend": "spy", "backends": {"spy": backend}})
    async with daemon(tmp_path, config, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as running:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
        assert (await ask(running, "traced", model="", **headers))[0] == 200
        await ended(running)
    messages = [json.loads(each) for each in sent.read_text().splitlines()]
    (prompt,) = [each["params"] for each in messages if each["method"] == "session/prompt"]
    turn = collector.named("invoke_agent spy")
    assert prompt["_meta"] == {
        "traceparent": f"00-{TRACE}-{turn['id']}-01",
        "tracestate": "vendor=1",
    }


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_what_failed_is_told_also_of_streams(
    tmp_path: Path, collector: Collector, accept: str
) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "mine"}
    async with daemon(tmp_path, ECHO, **variables) as running:
        await ask(running, "said [[fail no]]", accept)
        await ended(running)
    request = collector.named("POST /api/v1/prompt")
    turn = collector.named("invoke_agent echo")
    call = next(span for span in collector.spans if span["name"].startswith("chat"))
    assert turn["error.type"] == call["error.type"] == call["clinvk.outcome"] == "backend_error"
    assert turn["error"]
    assert call["error"]
    assert request["error"] == (accept == "application/json")
    assert collector.resources[0]["service.name"] == "mine"


async def test_a_collector_that_is_not_there_harms_nobody(tmp_path: Path) -> None:
    more = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    async with daemon(tmp_path, ECHO, **more) as running:
        assert (await ask(running, "hi"))[0] == 200
        await ended(running)
        told = [line for line in running.log if line["event"] == "opentelemetry"]
        # The one at each attempt, the other when the daemon ends before the first one has failed.
        failures = ("Connection refused", "Failed to export spans batch")
        assert any(failure in told[0]["said"] for failure in failures)


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "clinvk"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
        ({"OTEL_SDK_DISABLED": "True", "OTEL_TRACES_EXPORTER": "otlp"}, False),
    ],
)
def test_the_standard_variables_turn_it_on(environ: dict[str, str], wanted: bool) -> None:
    assert asked_for(environ) == wanted


def test_an_exporter_that_is_not_known_is_named() -> None:
    with pytest.raises(ConfigError, match="OTEL_TRACES_EXPORTER: is 'zipkin', allowed is otlp"):
        tracing_of({"OTEL_TRACES_EXPORTER": "zipkin"})


def test_nothing_of_it_is_imported_unless_it_is_asked_for() -> None:
    program = (
        "import sys, clinvkd.server; from clinvkd.tracing import tracing_of;"
        " assert tracing_of({}) is None;"
        " heavy = ('opentelemetry', 'prometheus', 'genai_prices');"
        " sys.exit(any(name.startswith(heavy) for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], timeout=100, check=True)
