"""Agents that take the W3C trace context of a turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from .codex_stage import staged

pytestmark = pytest.mark.real

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CONTEXT = (("traceparent", f"00-{TRACE}-{PARENT}-01"),)
OFF = 'exporter = "none"\n'


@dataclass(frozen=True, slots=True)
class Collector:
    """What was sent by OTLP over HTTP.

    Attributes:
        parents: names of spans of our trace, by the span above them.
    """

    url: str
    parents: dict[str, set[str]] = field(default_factory=dict)


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    async def receive(request: web.Request) -> web.Response:
        sent = ExportTraceServiceRequest.FromString(await request.read())
        for resource in sent.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    if span.trace_id.hex() == TRACE:
                        above = found.parents.setdefault(span.parent_span_id.hex(), set())
                        above.add(span.name)
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", receive)
    async with TestServer(app) as server:
        found = Collector(str(server.make_url("/v1/traces")))
        yield found


async def test_codex_goes_on_with_the_trace_turn_by_turn(tmp_path: Path) -> None:
    async with collecting() as collector:

        def export(home: Path, _: str) -> None:
            config = home / "config.toml"
            target = f'{{ endpoint = "{collector.url}", protocol = "binary" }}'
            exporter = f"{OFF}trace_exporter = {{ otlp-http = {target} }}\n"
            config.write_text(config.read_text().replace(OFF, exporter))

        async with staged(tmp_path, export) as stage:
            await stage.ask("hello", trace=CONTEXT)
            await stage.ask("hello again")
            traced, other = stage.provider.turns
            assert stage.pids == stage.pids[:1]  # one process, whatever the trace
        version, trace, span, _ = traced.headers["traceparent"].split("-")
        assert (version, trace) == ("00", TRACE)
        assert span != PARENT
        assert TRACE not in str(other.headers)
    # The pool is closed, so codex has sent what was left.
    assert collector.parents[PARENT] == {"turn/start"}
