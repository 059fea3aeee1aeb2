"""What stands at the root: ``/health``, and the routes of the modules beside this one."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import asdict
from typing import Any, ClassVar

from aiohttp import web
from pydantic_core import to_json

from .. import __version__
from ..config import EMBEDDED
from ..engine import BackendReport, Engine
from ..errors import BackendUnavailable, StoreUnavailable
from ..keys import KeyRing
from . import dashboard, reference
from .endpoint import CALLER, ENGINE, KEY_RING, Endpoint, Returns, endpoint
from .meta_types import Health
from .metrics import metrics
from .native import NativeDialect

COUNT_TIMEOUT = 0.1
"""Most seconds `/health` waits for the store."""


@endpoint(
    "GET",
    "/health",
    public=True,
    summary="Whether the daemon and its backends work.",
    operation="getHealth",
    returns=(Returns(Health),),
)
async def health(request: web.Request) -> web.StreamResponse:
    """Status, version, uptime, backends with what is wrong with them, pools and sessions.

    Who shows no key where one is needed learns the status only.
    """
    engine = request.app[ENGINE]
    ring = request.app[KEY_RING]
    uptime = time.monotonic() - engine.started
    reports = engine.report()
    default, why, status = _default(engine)
    status = status if default is None else _status(engine, ring, reports)
    if request[CALLER].known_by == "nothing":
        return _json({"status": status})
    body = {
        "status": status,
        "version": __version__,
        "uptime": _duration(int(uptime)),
        "uptime_ms": int(uptime * 1000),
        "default_backend": {"name": default, "reason": why},
        "backends": [_backend(report) for report in reports],
        "session_store": await _sessions(engine),
        "store": _store(engine),
        "api_keys": {"required": ring.required, "count": len(ring), "stale": ring.stale},
        "loop_guard": {"refused": dict(engine.loop_guard.refused)},
    }
    return _json(body)


class MetaDialect(NativeDialect):
    """Routes at the root; errors as in the native API."""

    prefix = ""
    title = "The daemon"
    endpoints: ClassVar[tuple[Endpoint, ...]] = (
        health,
        metrics,
        *dashboard.ENDPOINTS,
        *reference.ENDPOINTS,
    )
    lifetimes = ()  # the native API's are begun once


def _json(body: dict[str, Any]) -> web.Response:
    return web.Response(body=to_json(body), content_type="application/json")


async def _sessions(engine: Engine) -> dict[str, Any]:
    """Whether the sessions can be used, and how many there are; null when that takes too long."""
    count = None
    with suppress(StoreUnavailable, TimeoutError):
        async with asyncio.timeout(COUNT_TIMEOUT):
            count = await engine.sessions.count()
    return {"available": engine.store.healthy() is None, "session_count": count}


def _store(engine: Engine) -> dict[str, Any]:
    """What is kept on disk: whether it works, why not, and where a damaged file went."""
    reason = engine.store.healthy()
    set_aside = engine.store.set_aside
    return {
        "available": reason is None,
        "reason": reason,
        "set_aside": str(set_aside) if set_aside else None,
    }


def _default(engine: Engine) -> tuple[str | None, str, str]:
    try:
        name, why = engine.default_backend()
    except BackendUnavailable as error:
        return None, error.message, "unhealthy"
    return name, why, "ok"


def _status(engine: Engine, ring: KeyRing, reports: list[BackendReport]) -> str:
    """``degraded`` when the store, the source of the keys or a backend is broken, or a backend is
    missing that was asked for.

    An agent CLI that nobody installed and nobody configured is no fault of this machine.
    """
    if engine.store.healthy() is not None or ring.stale is not None:
        return "degraded"
    wanted = engine.settings.configured_backends()
    for report in reports:
        if report.reason is None:
            continue
        if report.name in wanted or not report.reason.startswith("not installed"):
            return "degraded"
    return "ok"


def _backend(report: BackendReport) -> dict[str, Any]:
    return {
        "name": report.name,
        "driver": report.driver,
        "embedded": report.name in EMBEDDED,
        "available": report.reason is None,
        "reason": report.reason,
        "version": report.version,
        "path": report.path,
        "warnings": report.warnings,
        "pool": asdict(report.figures),
    }


def _duration(seconds: int) -> str:
    """``1h2m3s``, ``2m31s``, ``31s``."""
    minutes, secs = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{secs}s"
    return f"{minutes}m{secs}s" if minutes else f"{secs}s"
