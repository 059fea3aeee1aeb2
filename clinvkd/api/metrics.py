"""What is measured, as Prometheus reads it: ``/metrics``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING

from aiohttp import web

from .. import __version__
from ..engine import Engine
from ..errors import NotFound, StoreUnavailable
from ..metrics import BackendState, Snapshot
from ..metrics.lag import LagWatch
from ..pool import AgentUse
from .accepting import accept_of
from .endpoint import ENGINE, Returns, endpoint

if TYPE_CHECKING:
    from ..metrics.metrics import Metrics

METRICS: web.AppKey[Metrics] = web.AppKey("METRICS")
"""There only where metrics are on."""

METRICS_APART = web.AppKey("METRICS_APART", bool)
"""Whether they are served by a listener of their own."""

_OPENMETRICS = "application/openmetrics-text"

_COUNT_SECS = 2.0
"""Most seconds a scrape waits for the number of sessions; without it that metric is missing."""


@endpoint(
    "GET",
    "/metrics",
    summary="What is measured, in the format of Prometheus.",
    operation="getMetrics",
    returns=(Returns(str, "All metrics.", media_types=("text/plain", _OPENMETRICS)),),
    raises=(NotFound,),
)
async def metrics(request: web.Request) -> web.StreamResponse:
    """All metrics, in Prometheus' own format or, where `Accept` names it, as OpenMetrics."""
    if METRICS not in request.app:
        raise NotFound("nothing is measured; see server.metrics_enabled")
    if request.app[METRICS_APART]:
        raise NotFound("the metrics have a listener of their own; see server.metrics_port")
    return await _exposition(request)


async def _exposition(request: web.Request) -> web.StreamResponse:
    snapshot = await _snapshot(request.app[ENGINE])
    body, content_type = request.app[METRICS].exposition(accept_of(request), snapshot)
    return web.Response(body=body, headers={"Content-Type": content_type})


UNGUARDED = endpoint("GET", "/metrics", public=True, summary="As `/metrics`, without a key.")(
    _exposition
)
"""What the metrics' own listener serves."""


async def measuring(app: web.Application) -> AsyncIterator[None]:
    """Count turns and costs, and watch the event loop, for as long as the application runs.

    A `cleanup_ctx` of aiohttp, for after the engine's.
    """
    metrics = app[METRICS]
    app[ENGINE].observers.append(metrics.count_turn)
    app[ENGINE].ledger.payments.append(metrics.count_cost)
    watch = LagWatch(metrics.lag.observe)
    watch.start()
    yield
    watch.stop()


async def _snapshot(engine: Engine) -> Snapshot:
    use = await engine.agent_use()
    return Snapshot(
        version=__version__,
        backends={
            report.name: BackendState(
                available=report.reason is None,
                figures=report.figures,
                use=use.get(report.name, AgentUse()),
            )
            for report in engine.report()
        },
        limit_refusals=dict(engine.quotas.refused),
        loop_refusals=dict(engine.loop_guard.refused),
        sessions=await _sessions(engine),
        sessions_created=engine.sessions.created,
        store_available=engine.store.healthy() is None,
    )


async def _sessions(engine: Engine) -> int | None:
    with suppress(StoreUnavailable, TimeoutError):
        async with asyncio.timeout(_COUNT_SECS):
            return await engine.sessions.count()
    return None
