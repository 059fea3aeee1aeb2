"""What is measured, asked of a running application with real agents."""

from __future__ import annotations

import asyncio
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from clinvkd.config import Settings
from clinvkd.keys import Key, KeyRing, Scopes
from clinvkd.metrics import DEFINITIONS
from clinvkd.metrics.lag import LagWatch
from clinvkd.metrics_listener import MetricsListener

from ..api.service import SSE, Service, eventually, serving, until
from .scrape import Scrape, read, scrape

pytestmark = pytest.mark.asyncio(loop_scope="session")

ALICE = {"Authorization": "Bearer alices-key"}
BOB = {"Authorization": "Bearer bobs-key"}
TURNS = "clinvk_turns_total"
SECONDS = "clinvk_backend_execution_duration_seconds"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    limited = Key("bob", Key.of("bobs-key").digest, Scopes(requests_per_minute=1))
    ring = KeyRing([Key.of("alices-key", "alice"), limited])
    folder = tmp_path_factory.mktemp("metrics")
    async with serving(folder, ring, server={"metrics_enabled": True}) as running:
        running.client.session.headers.update(ALICE)
        await running.engine.store.ready()
        yield running


async def test_every_metric_is_there_and_says_its_unit(service: Service) -> None:
    async with service.client.get("/metrics") as response:
        text = await response.text()
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    told = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    defined = {definition.name for definition in DEFINITIONS}
    assert len(defined) == len(DEFINITIONS)
    assert {name for name in told if not name.startswith("clinvk_process_")} == defined
    for definition in DEFINITIONS:
        assert definition.name.startswith("clinvk_")
        assert definition.name.endswith("_total") == (definition.kind == "counter")
        if definition.kind == "histogram":
            assert definition.name.endswith("_seconds")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
async def test_prometheus_finds_no_fault_with_names_and_units(service: Service) -> None:
    await service.text("hello")
    async with service.client.get("/metrics") as response:
        text = await response.read()
    command = ("promtool", "check", "metrics")
    linting = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    assert await linting.communicate(text) == (b"", b"")
    assert linting.returncode == 0


async def test_openmetrics_for_who_asks_for_it(service: Service) -> None:
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    async with service.client.get("/metrics", headers=accept) as response:
        assert response.headers["Content-Type"].startswith("application/openmetrics-text")
        assert (await response.text()).endswith("# EOF\n")


async def test_a_turn_is_counted_by_its_way_and_its_key(service: Service) -> None:
    before = await scrape(service)
    first = await service.post(prompt="one two three")
    await service.post(prompt="four", session_id=first.json["session_id"])
    after = await scrape(service)

    def more(name: str, **labels: str) -> float:
        return after(name, **labels) - before(name, **labels)

    assert more(TURNS, backend="echo", outcome="completed") == 2
    assert more(TURNS, way="continue") == 1
    assert more("clinvk_backend_executions_total", backend="echo", status="success") == 2
    assert more(f"{SECONDS}_count", backend="echo") == 2
    assert more(f"{SECONDS}_sum") > 0
    assert more("clinvk_time_to_first_text_seconds_count", backend="echo", way="continue") == 1
    assert more("clinvk_time_to_first_text_seconds_sum") <= more(f"{SECONDS}_sum")
    assert more("clinvk_input_tokens_total", backend="echo", key="alice") >= 4
    assert more("clinvk_output_tokens_total", backend="echo", key="alice") >= 4
    assert more("clinvk_sessions_created_total") == 1
    assert after("clinvk_active_sessions") == await service.sessions()
    ours = {"method": "POST", "path": "/api/v1/prompt"}
    assert more("clinvk_requests_total", status="200", **ours) == 2
    assert more("clinvk_request_duration_seconds_count", **ours) == 2


async def test_turns_that_fail_are_counted_by_their_error(service: Service) -> None:
    before = await scrape(service)
    assert (await service.post(prompt="[[fail no]]")).status == 500
    assert (await service.post(prompt="hi", backend="claude")).status == 503
    after = await scrape(service)
    failed = {"backend": "echo", "outcome": "backend_error"}
    assert after(TURNS, **failed) - before(TURNS, **failed) == 1
    assert after(TURNS, backend="claude", way="none", outcome="backend_unavailable") == 1
    assert after("clinvk_backend_executions_total", backend="claude", status="error") == 1
    assert after("clinvk_backend_available", backend="claude") == 0
    assert after("clinvk_backend_available", backend="echo") == 1


async def test_what_goes_on_is_told_while_it_goes_on(service: Service) -> None:
    before = await scrape(service)
    body = {"backend": "echo", "prompt": "[[slow 600]]one two"}
    async with service.client.post("/api/v1/prompt", json=body, headers=SSE) as response:
        await response.content.readany()
        during = await scrape(service)
    assert during("clinvk_requests_in_progress", path="/api/v1/prompt") == 1
    assert during("clinvk_turns_in_progress", backend="echo") == 1

    async def noted() -> bool:
        after = await scrape(service)
        gone = after("clinvk_requests_total", path="/api/v1/prompt", status="499")
        return gone > before("clinvk_requests_total", path="/api/v1/prompt", status="499")

    await eventually(noted)
    after = await scrape(service)
    assert after(TURNS, outcome="interrupted") - before(TURNS, outcome="interrupted") == 1
    assert after("clinvk_requests_in_progress", path="/api/v1/prompt") == 0
    await service.idle()


async def test_agents_and_what_they_use(service: Service) -> None:
    await service.text("hi")
    pool = service.engine.pool("echo")
    await service.idle()

    async def seen() -> bool:
        found = await scrape(service)
        memory = found("clinvk_agent_memory_bytes", backend="echo")
        return memory > 1e6 and found("clinvk_agent_cpu_seconds_total", backend="echo") > 0

    await eventually(seen)
    found, figures = await scrape(service), pool.figures()
    assert found("clinvk_agents", backend="echo") == figures.agents >= 1
    assert found("clinvk_spare_agents", backend="echo") == figures.spares
    assert found("clinvk_parked_conversations", backend="echo") == figures.parked
    assert found("clinvk_queued_turns", backend="echo") == 0
    before = found("clinvk_agent_cpu_seconds_total", backend="echo")
    restarts = found("clinvk_agent_restarts_total", backend="echo")
    assert (await service.post(prompt="[[exit 3]]")).status == 503

    async def restarted() -> bool:
        found = await scrape(service)
        assert found("clinvk_agent_cpu_seconds_total", backend="echo") >= before
        return found("clinvk_agent_restarts_total", backend="echo") == restarts + 1

    await eventually(restarted)


async def test_refusals_are_counted(service: Service) -> None:
    before = await scrape(service)
    answers = [(await service.post(prompt="hi", headers=BOB)).status for _ in range(2)]
    assert answers == [200, 429]
    after = await scrape(service)
    name = "clinvk_rate_limit_refusals_total"
    assert after(name, limit="requests") - before(name, limit="requests") == 1
    assert {"requests", "turns", "tokens"} == after.values("limit")
    assert {"repeated_call", "repeated_request"} == after.values("loop")


async def test_nothing_a_caller_writes_becomes_a_label(service: Service) -> None:
    for path in ("/SECRET", "/api/v1/sessions/SECRET", "/openai/v1/models/SECRET", "/x?y=SECRET"):
        async with service.client.get(path):
            pass
    await service.post(prompt="SECRET", backend="SECRET")
    await service.post(prompt="SECRET", model="SECRET", metadata={"SECRET": "SECRET"})
    await service.raw(b"SECRET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    async with service.client.get("/metrics") as response:
        text = await response.text()
    assert "SECRET" not in text
    assert "alices-key" not in text
    assert "alice" in text
    found = read(text)
    assert "unknown" in found.values("path")
    assert "/api/v1/sessions/{id}" in found.values("path")


async def test_it_is_guarded_like_everything_else(service: Service) -> None:
    async with ClientSession() as stranger:
        for headers, status in (({}, 401), ({"Host": "evil.example"}, 403)):
            url = f"http://127.0.0.1:{service.port}/metrics"
            async with stranger.get(url, headers=headers) as response:
                assert response.status == status


async def test_a_late_event_loop_is_noticed() -> None:
    """Timers that are due while the loop is blocked come too late."""
    told: list[float] = []
    watch = LagWatch(told.append)
    watch.start()
    try:
        await until(lambda: len(told) > 1)
    finally:
        watch.stop()
    assert min(told) >= 0


# Where they are served.


async def test_there_are_none_unless_they_are_asked_for(tmp_path: Path) -> None:
    async with serving(tmp_path) as off, off.client.get("/metrics") as response:
        assert response.status == 404
        assert "server.metrics_enabled" in (await response.json())["error"]["message"]


async def test_a_listener_of_their_own_needs_no_key_and_serves_nothing_else(tmp_path: Path) -> None:
    server = {"metrics_enabled": True, "metrics_port": 0}
    ring = KeyRing([Key.of("alices-key", "alice")])
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(serving(tmp_path, ring, server=server))
        app = service.client.app
        assert app is not None
        listener = MetricsListener(app, Settings.model_validate({"server": server}))
        stack.push_async_callback(listener.aclose)
        await listener.open()
        async with service.client.get("/metrics", headers=ALICE) as response:
            assert response.status == 404
            assert "server.metrics_port" in (await response.json())["error"]["message"]
        await service.post(prompt="hi", headers=ALICE)
        client = await stack.enter_async_context(ClientSession())
        address = f"http://127.0.0.1:{listener.port}"
        async with client.get(f"{address}/metrics") as response:
            found: Scrape = read(await response.text())
        assert found(TURNS, backend="echo", outcome="completed") == 1
        assert found("clinvk_requests_total", path="/api/v1/prompt", status="200") == 1
        for path, headers, status in (
            ("/health", {}, 404),
            ("/api/v1/backends", {}, 404),
            ("/metrics", {"Host": "evil.example"}, 403),
            ("/metrics", {"Origin": "http://evil.example"}, 403),
        ):
            async with client.get(address + path, headers=headers) as response:
                assert (response.status, path) == (status, path)


async def test_a_port_without_metrics_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="metrics_enabled is false"):
        Settings.model_validate({"server": {"metrics_port": 9464}})
